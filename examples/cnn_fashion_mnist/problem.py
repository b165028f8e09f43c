"""The tutorial's CNN: a ResNet-18 on Fashion-MNIST, with Adam at lr 1e-3 and cross-entropy as the baseline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from resnet import ResNet18  # resnet.py lies beside this file
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "fashion_mnist_subset.npz"
WIDTH = 8  # channels of the first stage, so that a CPU core trains it in half a minute; the tutorial's ResNet-18 has 64
PIXEL_MEAN, PIXEL_STD = 0.2860, 0.3530  # of the 60,000 training images


def images(split: str) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    standardised = (torch.from_numpy(pixels).float() / 255 - PIXEL_MEAN) / PIXEL_STD
    return standardised.unsqueeze(1), torch.from_numpy(labels).long()


def problem() -> fallline.Problem:
    return fallline.Problem(
        model=lambda: ResNet18(num_classes=10, channels=1, width=WIDTH, small=True),
        train=images("train"),  # a fifth of it is split off to decide between candidates
        audit=images("test"),  # the test set decides nothing, it only reports
        metric="accuracy",
        batch_size=64,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )
