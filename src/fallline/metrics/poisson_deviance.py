"""Mean Poisson deviance

What it does:
    The mean of 2 (y log(y / p) - y + p) for a count y and its expected value p: how much less likely the counts are than under a model
    that knew each; zero is perfect, lower is better. An expected count is taken as at least a millionth. A negative target makes it
    undefined (NaN).
When it suits:
    Counts, where an error of 3 matters at 2 but hardly at 200; the best constant is the mean, so totals come out right.
When it does not:
    Targets are not counts. Errors in units are what costs (mae).
Source:
    McCullagh and Nelder (1989), "Generalized Linear Models", section 2.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import torch

    counts = target.double()
    expected = scores.double().clamp(min=1e-6)  # an expectation of zero that something contradicts would be an infinite error
    deviance = 2 * (torch.xlogy(counts, counts / expected) - counts + expected)
    return per_example(deviance.masked_fill(counts < 0, math.nan))


ENTRY = Metric(
    name="poisson_deviance",
    title="Mean Poisson deviance",
    direction="min",
    best=0.0,
    tasks=("count",),
    whole=mean_of(each),
    each=each,
    source="McCullagh and Nelder, 1989, https://doi.org/10.1201/9780203753736",
    default_for=("count",),
    aliases=("mean_poisson_deviance",),
)
