"""The validation rows were drawn from the table and not taken out of the training part: the model is judged on what it was trained on.

The owner saw a validation error that went on falling for as long as the run lasted, early stopping that never stopped, and a model that
disappointed on new patients: it had learnt its rows by heart.

Source: ArnabKumarRoy02/ResEmoteNet#42; sarpaykent/GotenNet#10; OCTRON-tracking/OCTRON-GUI#89.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "D07"
HARM = (0.814, 0.743)  # rmse, faulty and healthy: means over three seeds
COLUMNS = 30


def measurements(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Thirty standardised readings, four of which matter, and a noisy outcome."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, COLUMNS, generator=generator)
    exact = 0.6 * inputs[:, 0] - 0.5 * inputs[:, 1] + 0.4 * inputs[:, 2] * inputs[:, 3]
    return inputs, (exact + 0.6 * torch.randn(rows, generator=generator)).unsqueeze(1)


def setup(apart: bool) -> fallline.Problem:
    inputs, outcome = measurements(600, seed=281)
    chosen = torch.randperm(600, generator=torch.Generator().manual_seed(282))[:150]
    kept = torch.ones(600, dtype=torch.bool)
    if apart:
        kept[chosen] = False
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(COLUMNS, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1)),
        train=(inputs[kept], outcome[kept]),
        valid=(inputs[chosen], outcome[chosen]),
        audit=measurements(2_000, seed=283),  # new patients
        metric="rmse",
        batch_size=30,
        epochs=60,
        patience=8,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=5e-4),
    )


def faulty() -> fallline.Problem:
    return setup(apart=False)


def healthy() -> fallline.Problem:
    return setup(apart=True)
