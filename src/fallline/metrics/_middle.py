"""The rank that probabilities of ordered classes predict, one rule for all metrics of order."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def ranks(scores: torch.Tensor) -> torch.Tensor:
    """Float64 (N,): the first rank up to which at least half of the probability (N, K) lies; NaN where a score is NaN.

    No other rank has a smaller expected absolute error, and it is what CORAL and CORN predict: they count the answers of yes to "is it
    above rank k?".
    """
    half = 0.5 * scores.double().sum(1, keepdim=True)  # of what is there: sums of probabilities are not exactly one
    middle = (scores.double().cumsum(1)[:, :-1] < half).sum(1).double()
    return middle.masked_fill(scores.isnan().any(1), float("nan"))
