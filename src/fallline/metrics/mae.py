"""Mean absolute error (MAE)

What it does:
    The mean of |prediction - target|, in the target's own unit; lower is better, zero is perfect. Targets of several values count as
    the mean over them. Of ordered classes, in ranks: the prediction is the rank in the middle of the probability.
When it suits:
    An error twice as large is twice as bad. A few wild targets should not decide which model wins.
When it does not:
    Rare large errors are what costs you (RMSE). The constant that minimises it is the median, so on a skewed target the predicted
    totals come out too low.
Source:
    Willmott and Matsuura (2005), "Advantages of the mean absolute error (MAE) over the root mean square error (RMSE)".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors, mean_of, per_example
from fallline.metrics._middle import ranks

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    values = ranks(scores) if scores.ndim > target.ndim else scores
    return per_example(errors(values, target).abs())


ENTRY = Metric(
    name="mae",
    title="Mean absolute error (MAE)",
    direction="min",
    best=0.0,
    tasks=("regression", "count", "ordinal"),
    whole=mean_of(each),
    each=each,
    source="Willmott and Matsuura, 2005, https://doi.org/10.3354/cr030079",
    default_for=("ordinal",),
    aliases=("mean_absolute_error", "absolute_error", "l1"),
)
