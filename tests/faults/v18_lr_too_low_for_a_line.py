"""A line is fitted in a few epochs by RMSprop with its customary lr of 0.001.

The owner saw the loss fall in a straight line by a per cent or two an epoch. RMSprop moves a weight by about lr a step, whatever the size
of the gradient; from an initial 0.3 to a slope of 2 it would take two thousand steps, and there are 150.

Source: stackoverflow.com/questions/51181393 (DeepFD 45), 59106542 (TheDeepChecker's list).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "O04"
HARM = (1.027, 0.083)  # mae, faulty and healthy: means over three seeds


def calibration(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reading = 2 * torch.rand(rows, 1, generator=generator) - 1
    return reading, 2.0 * reading + 1.0 + 0.1 * torch.randn(rows, 1, generator=generator)


def setup(lr: float) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Linear(1, 1),
        train=calibration(320, seed=181),
        valid=calibration(200, seed=182),
        metric="mae",
        batch_size=32,
        epochs=15,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.RMSprop(model.parameters(), lr=lr),
    )


def faulty() -> fallline.Problem:
    return setup(lr=0.001)


def healthy() -> fallline.Problem:
    return setup(lr=0.03)
