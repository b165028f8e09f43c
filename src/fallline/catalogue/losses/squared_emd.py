"""Squared earth mover's distance, for classes with an order

What it does:
Softmax, then both prediction and truth are added up along the classes, and the squared differences of the two sums are
added: the mean of sum over k of (P(class <= k) - [y <= k])^2. Probability that lies two classes away costs more than
the same probability next door. It is the ranked probability score, a proper scoring rule, and at most K - 1.

When it suits:
Grades, stars, ratings, age groups: classes whose numbers are an order, with a metric that looks at how far off an answer
is (absolute error, weighted kappa, ranked probability score). The head stays that of cross-entropy.

When it does not:
Classes without an order; nothing in the data can tell, so no profile speaks for this loss and it is tried where you name
it. Plain accuracy and log loss, where cross-entropy is right. A confident answer in the wrong place has almost no
gradient, since the softmax is flat there, so it begins slowly with many classes.

Source:
E. S. Epstein, A Scoring System for Probability Forecasts of Ranked Categories (1969); L. Hou, C.-P. Yu and D. Samaras,
Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks (2016). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.catalogue import Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def squared_emd(ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        kept = target != ignore_index
        reached = target.unsqueeze(1) <= torch.arange(output.shape[1], device=target.device)
        each = (output.softmax(dim=1).cumsum(dim=1) - reached.to(output.dtype)).square().sum(dim=1)
        return (each * kept).sum() / kept.sum()

    return loss


ENTRY = Loss(
    name="squared_emd",
    title="Squared earth mover's distance, for classes with an order",
    source="Epstein (1969); Hou, Yu and Samaras (2016)",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("ordinal", "multiclass"),
    reads=("real",),
    build=lambda h: squared_emd(ignore_index=int(h["ignore_index"])),
    code=lambda h: f"squared_emd(ignore_index={int(h['ignore_index'])})",
    on_request="needs classes whose numbers are an order, which the data cannot tell; name it where they are",
    told_by=("ordinal",),
    metrics=("mae", "quadratic_kappa"),
    aliases=("emd", "ranked_probability_score", "rps"),
)
