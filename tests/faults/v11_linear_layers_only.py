"""Three nn.Linear layers stand one on another, without an activation between them, before a problem that no line separates.

The owner saw 73 % on two interleaved spirals, as from a logistic regression, whatever the width, the depth and the optimizer: a product
of matrices is one matrix.

Source: stackoverflow.com/questions/46181692, 53138899 (TheDeepChecker's list).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import fallline

FAULT = "M01"
HARM = (0.727, 0.998)  # accuracy, faulty and healthy: means over three seeds


def spirals(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    arm = torch.randint(2, (rows,), generator=generator)
    turn = torch.rand(rows, generator=generator).sqrt() * 2.2 * math.pi
    angle = turn + math.pi * arm
    points = torch.stack([turn * angle.cos(), turn * angle.sin()], dim=1) / 3.5
    return points + 0.06 * torch.randn(rows, 2, generator=generator), arm


def network(activation: bool) -> nn.Module:
    def between() -> list[nn.Module]:
        return [nn.ReLU()] if activation else []

    return nn.Sequential(nn.Linear(2, 64), *between(), nn.Linear(64, 64), *between(), nn.Linear(64, 2))


def setup(activation: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: network(activation),
        train=spirals(1_200, seed=111),
        valid=spirals(500, seed=112),
        metric="accuracy",
        batch_size=32,
        epochs=30,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=5e-3),
    )


def faulty() -> fallline.Problem:
    return setup(activation=False)


def healthy() -> fallline.Problem:
    return setup(activation=True)
