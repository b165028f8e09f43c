"""A training loop of one's own: mixup (Zhang et al., arXiv:1710.09412) and its own clipping, on the Fashion-MNIST subset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "fashion_mnist_subset.npz"
MIXUP = 0.2  # alpha of the paper for images


class SmallCNN(nn.Module):
    """Two convolutions and two linear layers, LeNet in today's dress."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def train_one_epoch(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    scheduler: object,
    loader: Iterable[tuple[Tensor, Tensor]],
) -> None:
    """One epoch as you have it today. Each candidate comes through it with a loss, an optimizer and a learning rate of its own."""
    model.train()
    for inputs, target in loader:
        share = float(np.random.beta(MIXUP, MIXUP))
        other = torch.randperm(len(inputs))
        output = model(share * inputs + (1 - share) * inputs[other])
        value = share * loss(output, target) + (1 - share) * loss(output, target[other])
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
        optimizer.step()


def images(split: str) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return torch.from_numpy(pixels).float().unsqueeze(1) / 255, torch.from_numpy(labels).long()


def problem() -> fallline.Problem:
    return fallline.Problem(
        model=SmallCNN,
        train=images("train"),
        audit=images("test"),
        metric="accuracy",
        batch_size=64,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
        loop=train_one_epoch,
    )
