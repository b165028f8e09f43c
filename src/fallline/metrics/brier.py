"""Brier score

What it does:
    The mean squared distance between the probabilities and what happened: (p - y)^2 for yes/no targets (0 to 1), summed over the
    classes for several (0 to 2). Lower is better.
When it suits:
    Probabilities must be right, and a single confident mistake should not dominate as it does in log_loss.
When it does not:
    Events are very rare: the differences between good and bad probabilities become tiny (log_loss). Only the class counts (accuracy).
Source:
    Brier (1950), "Verification of forecasts expressed in terms of probability".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors, mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if scores.ndim == target.ndim:
        return per_example(errors(scores, target).square())
    likely = scores.double()
    given = likely.gather(1, target.long().unsqueeze(1)).squeeze(1)
    return likely.square().sum(1) - given.square() + (1 - given).square()  # without building the one-hot target


ENTRY = Metric(
    name="brier",
    title="Brier score",
    direction="min",
    best=0.0,
    tasks=("binary", "multiclass", "ordinal", "multilabel", "sequence"),
    whole=mean_of(each),
    each=each,
    source="Brier, 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
    aliases=("brier_score",),
)
