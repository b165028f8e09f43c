"""A fully convolutional labeller gives scores of shape (batch, classes, time) and its loss flattens them with reshape(-1, classes).

The owner saw a loss that fell a little and key frames that looked random. The reshape does not move the class axis to the end: a row of
"class scores" holds several moments of one class, so each label trains the wrong numbers. Shapes fit, nothing complains.

Source: weirme/FCSN#32; xieenze/Trans2Seg#4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L07"
HARM = (0.289, 0.978)  # accuracy, faulty and healthy: means over three seeds
CLASSES, TIME, CHANNELS = 5, 60, 3


class Labeller(nn.Module):
    """One-dimensional convolutions over time; one score a class and moment."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(CHANNELS, 32, 7, padding=3), nn.BatchNorm1d(32), nn.ReLU(),
            nn.Conv1d(32, 32, 7, padding=3), nn.BatchNorm1d(32), nn.ReLU(),
        )  # fmt: skip
        self.scores = nn.Conv1d(32, CLASSES, 1)

    def forward(self, signal: Tensor) -> Tensor:
        return self.scores(self.body(signal))


def recordings(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Activities of 8 to 20 moments one after another, each with its own rhythm on three sensors."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.zeros(rows, TIME, dtype=torch.long)
    for row in range(rows):
        at = 0
        while at < TIME:
            length = int(torch.randint(8, 21, (1,), generator=generator))
            state[row, at : at + length] = torch.randint(CLASSES, (1,), generator=generator)
            at += length
    pace = torch.tensor([0.3, 0.6, 1.0, 1.5, 2.2])
    strength = torch.tensor([[1.0, 0.2, 0.5], [0.4, 1.0, 0.3], [0.8, 0.8, 0.2], [0.2, 0.6, 1.0], [0.6, 0.3, 0.9]])
    phase = pace[state].cumsum(1).unsqueeze(1) + torch.tensor([0.0, 0.7, 1.4]).view(1, 3, 1)
    clean = phase.sin() * strength[state].transpose(1, 2)
    return clean + 0.3 * torch.randn(rows, CHANNELS, TIME, generator=generator), state


def scrambled(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores.reshape(-1, CLASSES), labels.reshape(-1))


def straight(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores.permute(0, 2, 1).reshape(-1, CLASSES), labels.reshape(-1))


def setup(loss: object) -> fallline.Problem:
    return fallline.Problem(
        model=Labeller,
        train=recordings(400, seed=31),
        valid=recordings(120, seed=32),
        metric="accuracy",
        batch_size=16,
        epochs=10,
        loss=loss,
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-3),
    )


def faulty() -> fallline.Problem:
    return setup(scrambled)


def healthy() -> fallline.Problem:
    return setup(straight)
