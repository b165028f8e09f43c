"""A name classifier ends in nn.Softmax and is trained with nn.CrossEntropyLoss, which takes the softmax a second time.

The owner saw a loss that came down from 1.39 and stuck at 1.0; not even perfect answers would bring it under 0.74, which is
log(1 + (K - 1) / e) for K = 4 classes. The gradient passes through two softmaxes, so an SGD that suits logits moves slowly.

Source: sugi-chan/custom_bert_pipeline#1; ariecattan/SciCo#2.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

FAULT = "L01"
HARM = (0.695, 0.787)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "names_nationality.csv.gz"
COUNTRIES = ("Czech", "German", "Italian", "Japanese")
BUCKETS = 2_000  # hashed pieces of two and three letters
LONGEST = 40


class NameClassifier(nn.Module):
    """Mean of the embeddings of a name's pieces, then a small head."""

    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.pieces = nn.EmbeddingBag(BUCKETS + 1, 48, mode="mean", padding_idx=0)
        self.hidden = nn.Linear(48, 64)
        self.out = nn.Linear(64, len(COUNTRIES))
        self.last = nn.Softmax(dim=-1) if softmax else nn.Identity()

    def forward(self, codes: Tensor) -> Tensor:
        return self.last(self.out(torch.relu(self.hidden(self.pieces(codes)))))


def pieces(name: str) -> list[int]:
    padded = f"<{name.lower()}>"
    found = [padded[i : i + n] for n in (2, 3) for i in range(len(padded) - n + 1)]
    codes = [1 + sum(ord(letter) * 31**place for place, letter in enumerate(piece)) % BUCKETS for piece in found]
    return (codes + [0] * LONGEST)[:LONGEST]


def names() -> tuple[Tensor, Tensor]:
    table = pl.read_csv(DATA).filter(pl.col("nationality").is_in(COUNTRIES)).unique(subset="name", keep="none", maintain_order=True)
    codes = torch.tensor([pieces(name) for name in table["name"]])
    target = torch.tensor([COUNTRIES.index(country) for country in table["nationality"]])
    order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))
    return codes[order], target[order]


def setup(softmax: bool) -> fallline.Problem:
    codes, target = names()
    return fallline.Problem(
        model=lambda: NameClassifier(softmax),
        train=(codes[:-600], target[:-600]),
        valid=(codes[-600:], target[-600:]),
        metric="accuracy",
        batch_size=32,
        epochs=25,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup(softmax=True)


def healthy() -> fallline.Problem:
    return setup(softmax=False)
