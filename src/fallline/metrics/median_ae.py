"""Median absolute error

What it does:
    Half of the examples are predicted better than this, half worse, in the target's own unit; lower is better. Targets of several
    values: the median of each, then their mean.
When it suits:
    Up to half of the targets may be wild or wrong, and the typical example is what matters.
When it does not:
    The worse half matters at all: it is not looked at (mae, rmse). Intervals are wider than those of mae on clean data.
Source:
    Hampel (1974), "The influence curve and its role in robust estimation".
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    missed = errors(scores, target).abs().reshape(len(target), -1)
    if bool(missed.isnan().any()):
        return math.nan  # sorting would hide a few NaN at the end
    ordered = missed.sort(0).values
    rows = len(ordered)
    # torch.median takes the lower of the two middle values of an even count
    return float((ordered[(rows - 1) // 2] + ordered[rows // 2]).mean() / 2)


ENTRY = Metric(
    name="median_ae",
    title="Median absolute error",
    direction="min",
    best=0.0,
    tasks=("regression", "count"),
    whole=whole,
    source="Hampel, 1974, https://doi.org/10.1080/01621459.1974.10482962",
    aliases=("median_absolute_error", "medae"),
)
