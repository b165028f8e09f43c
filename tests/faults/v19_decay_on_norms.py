"""A small transformer is trained by AdamW with a decay of 0.1 on all parameters, the scales of LayerNorm and the biases among them.

The owner saw nothing wrong: a reader of the code did. Decay pulls the scales of the norms towards zero, where 1 is neutral. At such sizes
it costs little or nothing, so a note is right and an alarm is not.

Source: Lightning-AI/lit-llama#254; ServiceNow/Fast-LLM#542.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "O07"
HARM = None  # a note: both train alike
SYMBOLS, LENGTH = 7, 12


class Reader(nn.Module):
    """One encoder layer over symbols and their places; the mean over places goes to the head."""

    def __init__(self) -> None:
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, 32)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, dim_feedforward=64, dropout=0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, 3)

    def forward(self, text: Tensor) -> Tensor:
        return self.head(self.norm(self.layer(self.symbols(text) + self.places)).mean(1))


def texts(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Does symbol 0 occur more often than symbol 1, less often, or equally often?"""
    text = torch.randint(SYMBOLS, (rows, LENGTH), generator=torch.Generator().manual_seed(seed))
    return text, 1 + (text == 0).sum(1).sub((text == 1).sum(1)).sign()


def one_group(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)


def two_groups(model: nn.Module) -> torch.optim.Optimizer:
    embeddings = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    matrices = [p for p in model.parameters() if p.ndim >= 2 and id(p) not in embeddings]
    others = [p for p in model.parameters() if p.ndim < 2 or id(p) in embeddings]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=2e-3)


def setup(optimizer: object) -> fallline.Problem:
    return fallline.Problem(
        model=Reader,
        train=texts(2_000, seed=191),
        valid=texts(600, seed=192),
        metric="accuracy",
        batch_size=50,
        epochs=6,
        loss=nn.CrossEntropyLoss(),
        optimizer=optimizer,
    )


def faulty() -> fallline.Problem:
    return setup(one_group)


def healthy() -> fallline.Problem:
    return setup(two_groups)
