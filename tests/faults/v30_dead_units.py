"""All biases of a ReLU net start at -1, "for sparse activations", with weights of standard deviation 0.05.

The owner saw a loss that reached the variance of the target within an epoch and then stayed there to the last digit, and one and the same
prediction for every row. No sum ever exceeds 1, so no unit of the hidden layers is ever active, and no gradient passes.

Source: stackoverflow.com/questions/54688502, 52783615, 49891163 (TheDeepChecker's list).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "R04"
HARM = (-0.002, 0.904)  # r2, faulty and healthy: means over three seeds


class Regressor(nn.Module):
    """Two hidden layers with initial weights of its own."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.hidden = nn.ModuleList([nn.Linear(9, 64), nn.Linear(64, 64)])
        self.out = nn.Linear(64, 1)
        for layer in self.hidden:
            nn.init.normal_(layer.weight, std=0.05 if sparse else (2 / layer.in_features) ** 0.5)
            nn.init.constant_(layer.bias, -1.0 if sparse else 0.0)

    def forward(self, readings: Tensor) -> Tensor:
        for layer in self.hidden:
            readings = layer(readings).relu()
        return self.out(readings)


def boilers(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Nine standardised readings of a boiler and its standardised efficiency."""
    generator = torch.Generator().manual_seed(seed)
    readings = torch.randn(rows, 9, generator=generator)
    exact = 0.7 * readings[:, 0] - 0.5 * readings[:, 1].abs() + 0.4 * readings[:, 2] * readings[:, 3] + 0.3 * readings[:, 4].sin()
    return readings, ((exact + 0.2 * torch.randn(rows, generator=generator) + 0.4) / 0.93).unsqueeze(1)


def setup(sparse: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Regressor(sparse),
        train=boilers(2_000, seed=301),
        valid=boilers(600, seed=302),
        metric="r2",
        batch_size=32,
        epochs=15,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )


def faulty() -> fallline.Problem:
    return setup(sparse=True)


def healthy() -> fallline.Problem:
    return setup(sparse=False)
