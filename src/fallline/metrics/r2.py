"""Coefficient of determination (R²)

What it does:
    1 - squared error / squared distance of the targets from their own mean: the share of variance explained. 1 is perfect, 0 is as good as
    naming the mean, below 0 is worse. Targets of several values: the plain mean over those that vary.
When it suits:
    Readers want a number without a unit, to compare targets on different scales.
When it does not:
    Sets are compared that spread differently: the same errors give another R². Outliers dominate as in MSE. It is undefined (NaN)
    where the target is constant.
Source:
    Wright (1921), "Correlation and causation".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    missed = errors(scores, target).reshape(len(target), -1).square().sum(0)
    actual = target.double().reshape(len(target), -1)
    varies = (actual != actual[0]).any(0)  # exact: a tolerance would call targets of small scale constant
    if not bool(varies.any()):
        return math.nan
    spread = (actual - actual.mean(0)).square().sum(0)
    return float((1 - missed[varies] / spread[varies]).mean())


ENTRY = Metric(
    name="r2",
    title="Coefficient of determination (R²)",
    direction="max",
    best=1.0,
    tasks=("regression", "count"),
    whole=whole,
    source="Wright, 1921, Journal of Agricultural Research 20",
    aliases=("r2_score", "r_squared"),
)
