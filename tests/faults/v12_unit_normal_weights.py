"""A net of three hidden layers of 500 ReLU units draws its weights from N(0, 1), as "random normal" suggests.

The owner saw a loss of tens of thousands before the first step, where log(10) = 2.3 was expected, and a training that spent its time
undoing that. Each layer multiplies the scale by about 16; He's initialisation has a standard deviation of sqrt(2 / 500) = 0.06.

Source: stackoverflow.com/questions/40147568 (TheDeepChecker's list), and its subject IPS_4.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "M04"
HARM = (0.635, 0.804)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"
WIDTH = 500


class Net(nn.Module):
    """A plain classifier of pictures that draws its weights itself."""

    def __init__(self, unit: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(196, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)])
        self.out = nn.Linear(WIDTH, 10)
        for layer in [*self.layers, self.out]:
            nn.init.normal_(layer.weight, std=1.0 if unit else (2 / layer.in_features) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        for layer in self.layers:
            pixels = functional.relu(layer(pixels))
        return self.out(pixels)


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    small = functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2).flatten(1)
    return (small - 0.286) / 0.32, labels.long()


def setup(unit: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Net(unit),
        train=clothes("train", every=2),
        valid=clothes("test", every=2),
        metric="accuracy",
        batch_size=50,
        epochs=5,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-4),
    )


def faulty() -> fallline.Problem:
    return setup(unit=True)


def healthy() -> fallline.Problem:
    return setup(unit=False)
