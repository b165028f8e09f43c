"""A small network is distilled from a teacher with nn.KLDivLoss(softmax(student), softmax(teacher)): the first argument lacks the log.

The owner saw a negative loss and a student that answers with one class at full confidence where the teacher hesitates. Without the
logarithm the loss is linear in the student's probabilities, and its minimum puts everything on the teacher's favourite.

Source: sebastian-hofstaetter/matchmaker#18; lightly-ai/lightly#1341.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L11"
HARM = (0.488, 0.064)  # disagreement, faulty and healthy: means over three seeds
CLASSES, COLUMNS = 6, 12


class Distillation(nn.Module):
    """Divergence of the student, given by its scores, from the teacher's probabilities."""

    def __init__(self, log: bool) -> None:
        super().__init__()
        self.divergence = nn.KLDivLoss(reduction="batchmean")
        self.log = log

    def forward(self, scores: Tensor, teacher: Tensor) -> Tensor:
        student = functional.log_softmax(scores, dim=1) if self.log else functional.softmax(scores, dim=1)
        return self.divergence(student, teacher)


def taught(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """What a fixed random teacher says of correlated columns: often two or three classes are likely."""
    world = torch.Generator().manual_seed(60)
    mix = torch.randn(COLUMNS, COLUMNS, generator=world) / COLUMNS**0.5
    first, second = torch.randn(COLUMNS, 20, generator=world), torch.randn(20, CLASSES, generator=world)
    inputs = torch.randn(rows, COLUMNS, generator=torch.Generator().manual_seed(seed)) @ mix
    return inputs, ((inputs @ first / 2).tanh() @ second / 2).softmax(1)


def disagreement(scores: Tensor, teacher: Tensor) -> float:
    """Total variation distance between what student and teacher believe, mean over rows."""
    return float((scores.softmax(1) - teacher).abs().sum(1).mean() / 2)


def setup(log: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(COLUMNS, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, CLASSES)),
        train=taught(3_000, seed=61),
        valid=taught(800, seed=62),
        metric=disagreement,
        direction="min",
        batch_size=64,
        epochs=20,
        loss=Distillation(log),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
    )


def faulty() -> fallline.Problem:
    return setup(log=False)


def healthy() -> fallline.Problem:
    return setup(log=True)
