"""A convolutional classifier has a softmax after its hidden dense layers, where its author wanted "an activation".

The owner saw the loss stay near log(10) for many epochs. A softmax makes the 128 features of a hidden layer positive numbers that sum to
1, so each is near 1/128 and hardly moves: little gets through, forwards or backwards.

Source: stackoverflow.com/questions/52575271 (TheDeepChecker's list); ulmefors/Traffic-Sign-Classifier e6a48ce (defect4ML 026).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "M06"
HARM = (0.585, 0.800)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"


class Signs(nn.Module):
    """One convolution, two dense layers, scores."""

    def __init__(self, softmax: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 12, 5, padding=2)
        self.dense1 = nn.Linear(12 * 49, 128)
        self.dense2 = nn.Linear(128, 64)
        self.scores = nn.Linear(64, 10)
        self.squash = nn.Softmax(dim=1) if softmax else nn.ReLU()

    def forward(self, picture: Tensor) -> Tensor:
        features = functional.max_pool2d(functional.relu(self.conv(picture)), 2).flatten(1)
        return self.scores(self.squash(self.dense2(self.squash(self.dense1(features)))))


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    return (functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2) - 0.286) / 0.32, labels.long()


def setup(softmax: bool) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Signs(softmax),
        train=clothes("train", every=1),
        valid=clothes("test", every=2),
        metric="accuracy",
        batch_size=32,
        epochs=6,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )


def faulty() -> fallline.Problem:
    return setup(softmax=True)


def healthy() -> fallline.Problem:
    return setup(softmax=False)
