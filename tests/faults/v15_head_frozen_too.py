"""A pretrained net is adapted to new classes by freezing every parameter whose name lacks "bn"; the new head's names lack it as well.

The owner saw a training that ran, with an optimizer that had parameters, and an accuracy that stayed low: what is left to train are the
scales and shifts of two norms, below a head that keeps the random weights it was made with.

Source: discuss.pytorch.org/t/84911 (a subject of TrainCheck).
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "M10"
HARM = (0.388, 0.922)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"
OLD, NEW = (0, 2, 4, 6, 8), (1, 3, 5, 7, 9)  # kinds of clothes: the first five in the pretraining, the others to be learnt


class Net(nn.Module):
    """Two convolutions with norms, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.head = nn.Linear(16 * 9, 5)

    def forward(self, picture: Tensor) -> Tensor:
        low = functional.max_pool2d(functional.relu(self.bn1(self.conv1(picture))), 2)
        return self.head(functional.max_pool2d(functional.relu(self.bn2(self.conv2(low))), 2).flatten(1))


def clothes(split: str, kinds: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"]).float(), torch.from_numpy(arrays[f"y_{split}"]).long()
    mine = torch.isin(labels, torch.tensor(kinds))
    small = functional.avg_pool2d(pixels[mine].unsqueeze(1) / 255, 2)
    return (small - 0.286) / 0.32, torch.searchsorted(torch.tensor(kinds), labels[mine])


@functools.cache
def pretrained() -> dict[str, Tensor]:
    """The weights of a short training on the old kinds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(150)
        model = Net()
        pictures, kinds = clothes("train", OLD)
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(2):
            for rows in torch.randperm(len(pictures)).split(50):
                loss = functional.cross_entropy(model(pictures[rows]), kinds[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def adapted(trainable: tuple[str, ...]) -> nn.Module:
    model = Net()
    model.load_state_dict(pretrained())
    model.head = nn.Linear(16 * 9, len(NEW))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = any(part in name for part in trainable)
    return model


def setup(*trainable: str) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: adapted(trainable),
        train=clothes("train", NEW),
        valid=clothes("test", NEW),
        metric="accuracy",
        batch_size=32,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3),
    )


def faulty() -> fallline.Problem:
    return setup("bn")


def healthy() -> fallline.Problem:
    return setup("bn", "head")
