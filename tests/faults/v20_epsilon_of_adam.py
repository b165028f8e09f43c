"""Adam is given eps=0.1, a value copied from another network's settings, and its customary lr of 0.001.

The owner saw a training that crawls whatever else is changed. Adam divides by sqrt(v) + eps; gradients here are around 0.01 to 0.04, so
eps rules the sum and a step is three to ten times smaller than lr says.

Source: stackoverflow.com/questions/42327543, 50975389 (TheDeepChecker's list).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "O10"
HARM = (0.706, 0.782)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"


class Convolutions(nn.Module):
    """A small convolutional classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 12, 3, padding=1)
        self.block = nn.Conv2d(12, 24, 3, padding=1)
        self.head = nn.Linear(24 * 9, 10)

    def forward(self, picture: Tensor) -> Tensor:
        low = functional.max_pool2d(functional.leaky_relu(self.stem(picture)), 2)
        return self.head(functional.max_pool2d(functional.leaky_relu(self.block(low)), 2).flatten(1))


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    return (functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2) - 0.286) / 0.32, labels.long()


def setup(eps: float) -> fallline.Problem:
    return fallline.Problem(
        model=Convolutions,
        train=clothes("train", every=1),
        valid=clothes("test", every=2),
        metric="accuracy",
        batch_size=50,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3, eps=eps),
    )


def faulty() -> fallline.Problem:
    return setup(eps=0.1)


def healthy() -> fallline.Problem:
    return setup(eps=1e-8)
