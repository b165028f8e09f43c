"""Metrics that are a mean over examples: their whole from their per-example values, so that the two cannot disagree."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def per_example(values: torch.Tensor) -> torch.Tensor:
    """Float64 (N,): the mean of `values` (N, ...) over everything but the examples."""
    values = values.double()
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def errors(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Score minus target in float64: the difference of two large float32 numbers would lose its digits."""
    return scores.double() - target.double()


def mean_of(
    each: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], of_mean: Callable[[float], float] | None = None
) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """`whole` for a metric whose `each` and `of_mean` say everything."""

    def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
        mean = float(each(scores, target).mean())
        return of_mean(mean) if of_mean else mean

    return whole
