"""Cross-entropy is written by hand as -(y * log(p)).sum(1).mean() on the output of a softmax.

The owner saw a healthy training for some epochs and then NaN, from one step to the next, everywhere. As the model grows sure of itself the
probability of a class that is out of the question underflows to exactly 0 in single precision, and 0 * log(0) is NaN.

Source: tensorflow/models d816971 (defect4ML 001), 726b371 (defect4ML 003).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L16"
HARM = (0.0, 0.0)
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"


class Classifier(nn.Module):
    """Two convolutions and a linear layer; gives probabilities, or scores for a loss that takes the softmax itself."""

    def __init__(self, probabilities: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.out = nn.Linear(24 * 9, 10)
        self.probabilities = probabilities

    def forward(self, picture: Tensor) -> Tensor:
        scores = self.out(self.features(picture).flatten(1))
        return scores.softmax(1) if self.probabilities else scores


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    small = functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2)
    return (small - 0.286) / 0.32, functional.one_hot(labels.long(), 10).float()


def hits(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target.argmax(1)).double().mean())


def by_hand(probability: Tensor, target: Tensor) -> Tensor:
    return -(target * torch.log(probability)).sum(1).mean()


def setup(probabilities: bool, loss: object) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Classifier(probabilities),
        train=clothes("train", every=2),
        valid=clothes("test", every=2),
        metric=hits,
        direction="max",
        batch_size=32,
        epochs=8,
        loss=loss,
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=5e-3),
    )


def faulty() -> fallline.Problem:
    return setup(probabilities=True, loss=by_hand)


def healthy() -> fallline.Problem:
    return setup(probabilities=False, loss=nn.CrossEntropyLoss())
