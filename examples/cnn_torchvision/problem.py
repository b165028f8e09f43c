"""A model by name, `"torchvision.models:resnet18"`, on the Fashion-MNIST subset; torchvision must be installed for your torch.

`pip install torchvision` in an environment with a CPU build of torch may replace it: use a constraint such as `torch==2.13.0`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "fashion_mnist_subset.npz"
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530  # of the 60,000 training images


def images(split: str) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    standardised = (torch.from_numpy(pixels).float() / 255 - PIXEL_MEAN) / PIXEL_STD
    return standardised.unsqueeze(1).repeat(1, 3, 1, 1), torch.from_numpy(labels).long()  # torchvision's models take three channels


def problem() -> fallline.Problem:
    return fallline.Problem(
        model=("torchvision.models:resnet18", {"num_classes": 10}),  # imported when the model is made, never by Fallline itself
        train=images("train"),
        audit=images("test"),
        metric="accuracy",
        batch_size=64,
        epochs=4,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )
