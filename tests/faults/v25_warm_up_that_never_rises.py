"""A linear warm-up is computed with an integer division, so the factor of the lr stays at one hundredth for the whole run.

The owner saw a loss that crept down in a straight line, as if the lr were a hundred times too small, while the settings said otherwise.

Source: facebookresearch/maskrcnn-benchmark#335; facebookresearch/ParlAI#4384.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

import fallline

FAULT = "S14"
HARM = (0.790, 0.888)  # accuracy, faulty and healthy: means over three seeds
START, WARMUP = 0.01, 60  # the first factor, and steps until it is 1


def as_written(step: int) -> float:
    return min(START + (1 - START) * (min(step, WARMUP - 1) // WARMUP), 1.0)


def as_meant(step: int) -> float:
    return min(START + (1 - START) * (step / WARMUP), 1.0)


class Attention(nn.Module):
    """A set of points; which of four corners holds most of them? One head of attention over the points, then the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(2, 32)
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, points: Tensor) -> Tensor:
        tokens = self.embed(points).relu()
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return self.head(self.norm(tokens + mixed).mean(1))


def clouds(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.randint(4, (rows,), generator=generator)
    elsewhere = torch.randint(4, (rows, 10), generator=generator)
    each = torch.where(torch.rand(rows, 10, generator=generator) < 0.45, corner.unsqueeze(1), elsewhere)
    centres = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return centres[each] + 0.5 * torch.randn(rows, 10, 2, generator=generator), corner


def setup(factor: Callable[[int], float]) -> fallline.Problem:
    return fallline.Problem(
        model=Attention,
        train=clouds(2_400, seed=251),
        valid=clouds(800, seed=252),
        metric="accuracy",
        batch_size=48,
        epochs=12,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
        scheduler=lambda optimizer: LambdaLR(optimizer, factor),
        scheduler_step="batch",
    )


def faulty() -> fallline.Problem:
    return setup(as_written)


def healthy() -> fallline.Problem:
    return setup(as_meant)
