"""Columns of very different size, thousandths beside tens of thousands, go into a net trained by SGD as they are.

The owner saw a loss of a hundred or more at the start and then, from one start to another, NaN or the same answer for everybody. The large
column alone decides the sums in the first layer; the small ones, which matter most, do not take part.

Source: stackoverflow.com/questions/53914450, 47318871, 50762466 (taxonomy of Humbatova et al., PyTorch); 39525358 (DeepFD 11).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import fallline

FAULT = "D01"
HARM = (0.320, 0.919)  # accuracy, faulty and healthy: means over three seeds


def patients(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Concentration in mol/l, salary, age and cell count, and whether a treatment helped."""
    generator = torch.Generator().manual_seed(seed)
    concentration, salary, age, cells = torch.randn(4, rows, generator=generator)
    score = 2 * concentration - (concentration * age) + 0.5 * cells.pow(2) - 0.5 + 0.3 * salary
    helped = (score + 0.5 * torch.randn(rows, generator=generator) > 0).float()
    columns = [0.003 + 0.001 * concentration, 30_000 + 9_000 * salary, 50 + 15 * age, 6_000 + 1_500 * cells]
    return torch.stack(columns, dim=1), helped.unsqueeze(1)


def setup(standardise: bool) -> fallline.Problem:
    (train, helped), (valid, helped_valid) = patients(2_000, seed=271), patients(800, seed=272)
    if standardise:
        mean, spread = train.mean(0), train.std(0)
        train, valid = (train - mean) / spread, (valid - mean) / spread
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)),
        train=(train, helped),
        valid=(valid, helped_valid),
        metric="accuracy",
        batch_size=32,
        epochs=25,
        loss=nn.BCEWithLogitsLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup(standardise=False)


def healthy() -> fallline.Problem:
    return setup(standardise=True)
