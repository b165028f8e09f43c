"""Root mean squared logarithmic error (RMSLE)

What it does:
    The root of the mean of (log(1 + prediction) - log(1 + target))^2: errors in proportion, not in units; lower is better. A
    prediction below zero counts as zero; a target below zero makes it undefined (NaN).
When it suits:
    Targets are not negative and span several orders of magnitude (prices, sales, populations): 10 against 20 is as bad as 1,000
    against 2,000.
When it does not:
    Totals must come out right: it rewards predictions near the median of skewed targets, not the mean. Targets are mostly far below 1.
Source:
    Hyndman and Koehler (2006), "Another look at measures of forecast accuracy", on errors in proportion.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    actual = target.double()
    missed = scores.double().clamp(min=0).log1p() - actual.log1p()
    return per_example(missed.square().masked_fill(actual < 0, math.nan))


ENTRY = Metric(
    name="rmsle",
    title="Root mean squared logarithmic error (RMSLE)",
    direction="min",
    best=0.0,
    tasks=("regression", "count"),
    whole=mean_of(each, math.sqrt),
    each=each,
    of_mean=math.sqrt,
    source="Hyndman and Koehler, 2006, https://doi.org/10.1016/j.ijforecast.2006.03.001",
    aliases=("root_mean_squared_log_error",),
)
