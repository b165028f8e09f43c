"""The loop validates after each epoch, over a file sorted by class, without model.eval().

The owner saw validation figures near guessing that changed from call to call (dropout still drops, and a batch of one class is
normalised away), and a final model that does far worse than its training. In train mode a forward pass also moves the running statistics of
batch norm, without any gradient; the last thing they see before prediction is some batches of one class only.

Source: stackoverflow.com/questions/46005286 (title); pytorch/pytorch#1207.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "S11"
HARM = (0.657, 0.811)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"
KINDS = 10
BATCH = 10  # pictures a validation batch


def clothes(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    return (functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2).flatten(1) - 0.286) / 0.32, labels.long()


def network() -> nn.Module:
    return nn.Sequential(
        nn.Linear(196, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.2),
        nn.Linear(64, KINDS),
    )  # fmt: skip


class Script:
    """What the user's script holds: validation pictures in order of their class, and the figures printed so far."""

    def __init__(self, valid: tuple[Tensor, Tensor], evaluates: bool) -> None:
        order = valid[1].argsort(stable=True)
        self.pictures, self.kinds = valid[0][order], valid[1][order]
        self.evaluates = evaluates
        self.printed: list[float] = []

    def train_one_epoch(
        self,
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        scheduler: object,
        loader: Iterable[tuple[Tensor, Tensor]],
    ) -> None:
        model.train()
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()
        if self.evaluates:
            model.eval()
        with torch.no_grad():
            right = sum(
                int((model(pictures).argmax(1) == kinds).sum())
                for pictures, kinds in zip(self.pictures.split(BATCH), self.kinds.split(BATCH), strict=True)
            )
        self.printed.append(right / len(self.kinds))


def setup(evaluates: bool) -> fallline.Problem:
    valid = clothes("test", every=1)
    return fallline.Problem(
        model=network,
        train=clothes("train", every=1),
        valid=valid,
        metric="accuracy",
        batch_size=50,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
        loop=Script(valid, evaluates).train_one_epoch,
    )


def faulty() -> fallline.Problem:
    return setup(evaluates=False)


def healthy() -> fallline.Problem:
    return setup(evaluates=True)
