"""A regression sums the squared errors of a batch, nn.MSELoss(reduction="sum"), and keeps SGD's lr at 0.01 with batches of 256.

The owner saw the loss in the hundreds at the first step, larger at the second and NaN within an epoch; a batch of 8 "worked". The sum
makes every gradient 256 times that of the mean.

Source: stackoverflow.com/questions/43611745, 41954308 (TheDeepChecker's list).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import fallline

FAULT = "L12"
HARM = (math.inf, 0.194)  # rmse, faulty and healthy: means over three seeds


def pump_yield(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Standardised readings of a pump and its standardised yield: smooth, with one interaction and some noise."""
    generator = torch.Generator().manual_seed(seed)
    speed, head, heat, wear = torch.randn(4, rows, generator=generator)
    exact = 0.8 * speed - 0.5 * head.pow(2) + 0.6 * speed * head + 0.4 * (2 * heat).sin() - 0.3 * wear.relu()
    noisy = exact + 0.2 * torch.randn(rows, generator=generator)
    return torch.stack([speed, head, heat, wear], dim=1), ((noisy + 0.62) / 1.25).unsqueeze(1)


def setup(reduction: str) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)),
        train=pump_yield(5_120, seed=71),
        valid=pump_yield(1_000, seed=72),
        metric="rmse",
        batch_size=256,
        epochs=60,
        loss=nn.MSELoss(reduction=reduction),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup("sum")


def healthy() -> fallline.Problem:
    return setup("mean")
