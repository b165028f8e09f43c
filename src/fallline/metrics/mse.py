"""Mean squared error (MSE)

What it does:
    The mean of (prediction - target)^2, in the square of the target's unit; lower is better, zero is perfect.
When it suits:
    Large errors are worse than in proportion, and others report MSE too. It orders models exactly as RMSE does.
When it does not:
    People should read the number (RMSE has the target's unit), or targets have outliers (MAE).
Source:
    Gauss (1823), "Theoria combinationis observationum erroribus minimis obnoxiae".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors, mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return per_example(errors(scores, target).square())


ENTRY = Metric(
    name="mse",
    title="Mean squared error (MSE)",
    direction="min",
    best=0.0,
    tasks=("regression", "count"),
    whole=mean_of(each),
    each=each,
    source="Gauss, 1823",
    aliases=("mean_squared_error", "l2"),
)
