"""Root mean squared error (RMSE)

What it does:
    The square root of the mean of (prediction - target)^2, in the target's own unit; lower is better, zero is perfect.
When it suits:
    Large errors are worse than in proportion, and the target has no wild values. The constant that minimises it is the mean, so
    totals come out right.
When it does not:
    Targets have outliers or heavy tails: a handful of rows then decides who wins, and intervals become wide. See MAE, RMSLE.
Source:
    Chai and Draxler (2014), "Root mean square error (RMSE) or mean absolute error (MAE)?".
"""

from __future__ import annotations

import math

from fallline.metrics import Metric
from fallline.metrics._means import mean_of
from fallline.metrics.mse import each

ENTRY = Metric(
    name="rmse",
    title="Root mean squared error (RMSE)",
    direction="min",
    best=0.0,
    tasks=("regression", "count"),
    whole=mean_of(each, math.sqrt),
    each=each,
    of_mean=math.sqrt,
    source="Chai and Draxler, 2014, https://doi.org/10.5194/gmd-7-1247-2014",
    default_for=("regression",),
    aliases=("root_mean_squared_error", "root_mean_square_error"),
)
