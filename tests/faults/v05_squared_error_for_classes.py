"""An image classifier is trained with nn.MSELoss between a softmax and one-hot labels, by SGD with lr 0.01.

The owner saw a loss of 0.09 that stayed at 0.09, which is what the uniform answer 0.1 for each of ten classes gives, and an accuracy
that crept. Squared error through a softmax has a gradient that is tiny near the uniform answer and vanishes where the model is
confidently wrong.

Source: stackoverflow.com/questions/38648195 (DeepFD 6); 50641866 (TheDeepChecker's list).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L10"
HARM = (0.315, 0.777)  # hits, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    """Photographs of 14 x 14 pixels, standardised, and one-hot labels."""
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    small = functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2).flatten(1)
    return (small - 0.286) / 0.32, functional.one_hot(labels.long(), 10).float()


def hits(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target.argmax(1)).double().mean())


def network(softmax: bool) -> nn.Module:
    layers = [nn.Linear(196, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(*layers, *([nn.Softmax(dim=1)] if softmax else []))


def setup(softmax: bool, loss: nn.Module) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: network(softmax),
        train=clothes("train", every=1),
        valid=clothes("test", every=2),
        metric=hits,
        direction="max",
        batch_size=64,
        epochs=40,
        loss=loss,
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
    )


def faulty() -> fallline.Problem:
    return setup(softmax=True, loss=nn.MSELoss())


def healthy() -> fallline.Problem:
    """Cross-entropy reads one-hot rows as they are."""
    return setup(softmax=False, loss=nn.CrossEntropyLoss())
