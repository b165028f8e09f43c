"""A linear regression on columns in their natural units is fitted by SGD with lr 0.1.

The owner saw the loss alternate and grow by a factor at every step until it was NaN. The columns run from 0 to 10, so the largest
curvature of the mean squared error is about 220, and SGD is stable only below 2 / 220.

Source: stackoverflow.com/questions/48934338 (DeepFD 13), 37624102 (DeepFD 34).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

import fallline

FAULT = "O03"
HARM = (math.inf, 0.313)  # rmse, faulty and healthy: means over three seeds


def wine(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scores of four judges between 0 and 10 and the deviation of a wine's price from the usual one; linear, with noise."""
    generator = torch.Generator().manual_seed(seed)
    scores = 10 * torch.rand(rows, 4, generator=generator)
    value = scores @ torch.tensor([0.30, -0.25, 0.20, -0.15]) + 0.3 * torch.randn(rows, generator=generator)
    return scores, value.unsqueeze(1)


def setup(lr: float) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Linear(4, 1),
        train=wine(800, seed=171),
        valid=wine(300, seed=172),
        metric="rmse",
        batch_size=32,
        epochs=30,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=lr),
    )


def faulty() -> fallline.Problem:
    return setup(lr=0.1)


def healthy() -> fallline.Problem:
    return setup(lr=0.003)
