"""Cross-entropy is written by hand as -(y * log(p)).sum(1).mean() on the output of a softmax.

The owner saw a sound training for an epoch and then NaN, from one step to the next, everywhere. Some of the amounts are many times the
usual; as the weights grow, the probability of a class that is out of the question for such a row underflows to exactly 0 in single
precision, and 0 * log(0) is NaN.

Source: tensorflow/models d816971 (defect4ML 001), 726b371 (defect4ML 003).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L16"
HARM = (0.000, 0.854)  # hits, faulty and healthy: means over three seeds
CLASSES, COLUMNS = 5, 8


class Classifier(nn.Module):
    """Two hidden layers; gives probabilities, or scores for a loss that takes the softmax itself."""

    def __init__(self, probabilities: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(COLUMNS, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU())
        self.out = nn.Linear(48, CLASSES)
        self.probabilities = probabilities

    def forward(self, amounts: Tensor) -> Tensor:
        scores = self.out(self.body(amounts))
        return scores.softmax(1) if self.probabilities else scores


def transactions(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Amounts with heavy tails (Student's t with 3 degrees of freedom), scaled to a standard deviation of 1; kinds as one-hot rows."""
    world = torch.Generator().manual_seed(100)
    direction = torch.randn(COLUMNS, CLASSES, generator=world)
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(rows, COLUMNS, generator=generator)
    amounts = normal / (torch.randn(rows, 3, generator=generator).pow(2).mean(1, keepdim=True)).sqrt() / 3**0.5
    scores = amounts.sign() * amounts.abs().sqrt() @ direction + 0.3 * torch.randn(rows, CLASSES, generator=generator)
    return amounts, functional.one_hot(scores.argmax(1), CLASSES).float()


def hits(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target.argmax(1)).double().mean())


def by_hand(probability: Tensor, target: Tensor) -> Tensor:
    return -(target * torch.log(probability)).sum(1).mean()


def setup(probabilities: bool, loss: object) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: Classifier(probabilities),
        train=transactions(4_000, seed=101),
        valid=transactions(1_000, seed=102),
        metric=hits,
        direction="max",
        batch_size=32,
        epochs=12,
        loss=loss,
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
    )


def faulty() -> fallline.Problem:
    return setup(probabilities=True, loss=by_hand)


def healthy() -> fallline.Problem:
    return setup(probabilities=False, loss=nn.CrossEntropyLoss())
