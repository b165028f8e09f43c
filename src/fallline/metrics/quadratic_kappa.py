"""Quadratic weighted kappa

What it does:
    1 minus the mean squared distance between predicted and true rank over what it would be if predictions met the targets by chance: 1
    is perfect, 0 is chance. A prediction is the rank in the middle of the probability. Zero when all of both are one rank.
When it suits:
    Grades whose judges are compared in the same way (essays, retinopathy); being three ranks off costs nine times one rank.
When it does not:
    One number a reader can picture is wanted (mae, within_one). It rises with the spread of the true ranks, so that values of two data
    sets say little beside each other.
Source:
    Cohen (1968), "Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial credit".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._middle import ranks

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    predicted, true = ranks(scores), target.double()
    if bool(predicted.isnan().any()):
        return math.nan
    # The sum over all pairs of one prediction and one target, sum_ij (p_i - t_j)^2 / N, from sums alone: whole numbers, so exact.
    count = len(true)
    by_chance = float((predicted**2).sum() + (true**2).sum() - 2 * predicted.sum() * true.sum() / count)
    return 1.0 - float(((predicted - true) ** 2).sum()) / by_chance if by_chance > 1e-9 else 0.0


ENTRY = Metric(
    name="quadratic_kappa",
    title="Quadratic weighted kappa",
    direction="max",
    best=1.0,
    tasks=("ordinal",),
    whole=whole,
    source="Cohen, 1968, https://doi.org/10.1037/h0026256",
    aliases=("qwk", "quadratic_weighted_kappa", "weighted_kappa", "cohen_kappa"),
)
