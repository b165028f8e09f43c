"""Parameter groups are assembled by hand, a gentle lr for the encoder and a brisk one for the head; the head's group is never appended.

The owner saw the loss fall at the pace of the gentle lr and then hardly at all. The head computes gradients, which nobody uses, and keeps
its initial weights.

Source: zjunlp/HVPNeT#5; huggingface/pytorch-openai-transformer-lm#6.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "O01"
HARM = (0.432, 0.690)  # accuracy, faulty and healthy: means over three seeds
SHOPS, GOODS = 40, 60


class Demand(nn.Module):
    """Which of eight bands the sales of a good in a shop fall into: embeddings, an encoder, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.shop, self.good = nn.Embedding(SHOPS, 16), nn.Embedding(GOODS, 16)
        self.encoder = nn.Sequential(nn.Linear(33, 64), nn.GELU(), nn.LayerNorm(64))
        self.head = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 8))

    def forward(self, shop: Tensor, good: Tensor, price: Tensor) -> Tensor:
        return self.head(self.encoder(torch.cat([self.shop(shop), self.good(good), price], dim=1)))


def sales(rows: int, seed: int) -> tuple[tuple[Tensor, ...], Tensor]:
    world = torch.Generator().manual_seed(160)
    size, appeal, elasticity = (torch.randn(n, generator=world) for n in (SHOPS, GOODS, GOODS))
    generator = torch.Generator().manual_seed(seed)
    shop, good = torch.randint(SHOPS, (rows,), generator=generator), torch.randint(GOODS, (rows,), generator=generator)
    price = torch.randn(rows, generator=generator)
    level = size[shop] + appeal[good] - (0.8 + 0.4 * elasticity[good]) * price + 0.1 * torch.randn(rows, generator=generator)
    band = torch.bucketize(level, torch.tensor([-2.0, -1.2, -0.6, 0.0, 0.6, 1.2, 2.0]))
    return (shop, good, price.unsqueeze(1)), band


def groups(model: Demand, complete: bool) -> list[dict[str, object]]:
    below = [*model.shop.parameters(), *model.good.parameters(), *model.encoder.parameters()]
    above = {"params": list(model.head.parameters()), "lr": 3e-3}
    found: list[dict[str, object]] = [{"params": below, "lr": 3e-4}]
    if complete:
        found.append(above)
    return found


def setup(complete: bool) -> fallline.Problem:
    return fallline.Problem(
        model=Demand,
        train=sales(4_000, seed=161),
        valid=sales(1_000, seed=162),
        metric="accuracy",
        batch_size=64,
        epochs=40,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.AdamW(groups(model, complete)),
    )


def faulty() -> fallline.Problem:
    return setup(complete=False)


def healthy() -> fallline.Problem:
    return setup(complete=True)
