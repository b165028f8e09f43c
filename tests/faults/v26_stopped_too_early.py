"""Ten epochs are trained where a hundred are needed; the validation error still falls by a tenth an epoch when the run ends.

The owner saw a poor fit and changed the layers, the loss and the lr (ten times as much diverges), before leaving the run on over lunch.

Source: stackoverflow.com/questions/59282996 (DeepFD 32); 51198474, 51032181 (taxonomy of Humbatova et al., PyTorch).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "S15"
HARM = (0.226, 0.079)  # rmse, faulty and healthy: means over three seeds


def tide(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Height of water over time and place: two waves of different length."""
    generator = torch.Generator().manual_seed(seed)
    place = 2 * torch.rand(rows, 2, generator=generator) - 1
    height = (4 * place[:, 0]).sin() + 0.7 * (3 * place[:, 1] + place[:, 0]).cos()
    return place, (height + 0.05 * torch.randn(rows, generator=generator)).unsqueeze(1)


def setup(epochs: int) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)),
        train=tide(640, seed=261),
        valid=tide(400, seed=262),
        metric="rmse",
        batch_size=32,
        epochs=epochs,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup(epochs=10)


def healthy() -> fallline.Problem:
    return setup(epochs=100)
