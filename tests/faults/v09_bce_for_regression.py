"""The strength of concrete, some 10 to 80 megapascal, is learnt with nn.BCEWithLogitsLoss, left over from a yes/no classifier.

The owner saw a loss of minus several thousand that went on falling, and predictions that climbed without end, a sigmoid of 1.0 for every
mixture. The target is a quantity, not a yes or no: binary cross-entropy has no minimum there. (nn.BCELoss on such a target is refused by
torch itself; the form with the sigmoid inside is silent.)

Source: stackoverflow.com/questions/46642627 (DeepFD 43).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "L15"
HARM = (-1.16e7, 0.964)  # r2, faulty and healthy: means over three seeds
MEAN, SPREAD = 36.0, 15.0  # megapascal


def mixtures(rows: int, seed: int, scaled: bool) -> tuple[Tensor, Tensor]:
    """Shares of cement, water and ash, and age, standardised; strength by a law in the manner of Abrams, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    cement = 200 + 300 * torch.rand(rows, generator=generator)
    ratio = 0.35 + 0.35 * torch.rand(rows, generator=generator)
    ash = 150 * torch.rand(rows, generator=generator)
    age = torch.tensor([3.0, 7.0, 14.0, 28.0, 56.0, 90.0])[torch.randint(6, (rows,), generator=generator)]
    strength = 95 / 4.5**ratio * (age / (age + 6)) * (0.75 + cement / 1500 + ash / 1200) + 2 * torch.randn(rows, generator=generator)
    columns = torch.stack([(cement - 350) / 87, (ratio - 0.52) / 0.1, (ash - 75) / 43, (age.log() - 2.9) / 1.2], dim=1)
    return columns, ((strength - MEAN) / SPREAD if scaled else strength).unsqueeze(1)


def setup(loss: nn.Module, scaled: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)),
        train=mixtures(1_500, seed=91, scaled=scaled),
        valid=mixtures(500, seed=92, scaled=scaled),
        metric="r2",
        batch_size=32,
        epochs=20,
        loss=loss,
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
    )


def faulty() -> fallline.Problem:
    return setup(nn.BCEWithLogitsLoss(), scaled=False)


def healthy() -> fallline.Problem:
    return setup(nn.MSELoss(), scaled=True)
