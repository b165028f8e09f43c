"""Generalized cross-entropy

What it does:
(1 - p^q) / q, p being the probability of the right class: cross-entropy as q goes to 0, the absolute error 1 - p at
q = 1. The gradient is that of cross-entropy times p^q, so an example that the network finds impossible hardly counts:
with q = 0.7 one at p = 0.01 has 4 % of its usual say. A single example costs at most 1 / q.

When it suits:
Labels from web search, weak rules or tired annotators, with 20 % or more of them wrong and no way to tell which. The
network learns the easy majority first and then stops listening to what contradicts it. Accuracy on clean data is
the metric.

When it does not:
Clean labels: hard and rare examples are what it stops listening to, so they are learned late or never. Many classes:
at the start p is 1 / C, which for C = 1,000 and q = 0.7 leaves 0.8 % of the gradient, and training may not begin (lower
q, or begin with cross-entropy). Log loss, as it is no proper scoring rule for q > 0 and makes confidence too high.

Source:
Z. Zhang and M. Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels, NeurIPS
2018. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def generalized_ce(q: float, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        entropy = torch.nn.functional.cross_entropy(output, target, reduction="none", ignore_index=ignore_index)
        each = -torch.expm1(-q * entropy) / q  # p^q = exp(q log p); zero where a place is ignored
        return each.sum() / (target != ignore_index).sum()

    return loss


def suits(profile: Profile) -> float:
    # the estimate of label noise is an upper bound, so it speaks only from 10 % on, and never louder than smoothing
    return 0.0 if profile.label_noise is None else 0.9 * min(1.0, max(0.0, (profile.label_noise - 0.1) / 0.3))


ENTRY = Loss(
    name="generalized_ce",
    title="Generalized cross-entropy",
    source="Zhang and Sabuncu (2018)",
    space={
        "q": Hyperparameter(default=0.7, why="the paper's value in all its experiments", low=0.1, high=0.9, above_zero=True),
        "ignore_index": IGNORE,
    },
    example={"q": 0.3, "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: generalized_ce(q=h["q"], ignore_index=int(h["ignore_index"])),
    code=lambda h: f"generalized_ce(q={h['q']!r}, ignore_index={int(h['ignore_index'])})",
    suits=suits,
    aliases=("gce", "generalized_cross_entropy"),
)
