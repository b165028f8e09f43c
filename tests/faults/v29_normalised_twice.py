"""The loader standardises the pictures, and the model's forward does so again, for pixels from 0 to 255.

The owner saw an accuracy that stayed at chance for epochs. What reaches the first layer has a standard deviation of 0.01 about -0.9: every
picture looks the same.

Source: soumith/imagenet-multiGPU.torch#18; TheDeepChecker's synthetic "double_normalization".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "D09"
HARM = (0.103, 0.821)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"
MEAN, SPREAD = 0.286, 0.32  # of pixels divided by 255


class Net(nn.Module):
    """A small convolutional classifier, with or without a normalisation of its own."""

    def __init__(self, normalises: bool) -> None:
        super().__init__()
        self.normalises = normalises
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(24 * 9, 10)

    def forward(self, picture: Tensor) -> Tensor:
        if self.normalises:
            picture = (picture / 255 - MEAN) / SPREAD
        return self.head(self.features(picture).flatten(1))


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    return (functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2) - MEAN) / SPREAD, labels.long()


def setup(normalises: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Net(normalises),
        train=clothes("train", every=1),
        valid=clothes("test", every=2),
        metric="accuracy",
        batch_size=50,
        epochs=10,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9),
    )


def faulty() -> fallline.Problem:
    return setup(normalises=True)


def healthy() -> fallline.Problem:
    return setup(normalises=False)
