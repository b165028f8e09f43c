"""Exact ranking metrics by sorting, quick enough to be recomputed on a thousand resamples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from fallline.metrics._counts import as_columns

if TYPE_CHECKING:
    import torch


def _hits(scores: torch.Tensor, positive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Going down the distinct scores, highest first: how many positives, and how many examples, have been met so far."""
    import torch

    ordered, order = scores.sort(descending=True)
    # equal scores cannot be told apart, so counts are read only after the last of them
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)]).nonzero().squeeze(1)
    return positive[order].cumsum(0)[last], last + 1


def area_under_roc(scores: torch.Tensor, positive: torch.Tensor) -> float:
    """P(score of a positive > score of a negative), ties counted half: the Mann-Whitney U over both counts. NaN without both kinds."""
    import torch

    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return math.nan
    hits, seen = _hits(scores, positive)
    start = hits.new_zeros(1)
    negatives_met = torch.diff(seen - hits, prepend=start)
    higher_or_equal = hits + torch.cat([start, hits[:-1]])  # positives above a negative count two, its equals one: whole numbers, exact
    return int((negatives_met * higher_or_equal).sum()) / (2 * positives * negatives)


def precision_over_recall(scores: torch.Tensor, positive: torch.Tensor) -> float:
    """Sum of precision times gain in recall over the distinct scores, highest first, without interpolation. NaN without positives."""
    import torch

    positives = int(positive.sum())
    if not positives:
        return math.nan
    hits, seen = _hits(scores, positive)
    gained = torch.diff(hits, prepend=hits.new_zeros(1))
    return float((gained * hits.double() / seen).sum()) / positives


def mean_over_columns(curve: Callable[[torch.Tensor, torch.Tensor], float], scores: torch.Tensor, target: torch.Tensor) -> float:
    """`curve` for binary scores; its plain mean over classes (one against the rest) or labels, where defined. NaN where scores are NaN."""
    if bool(scores.isnan().any()):
        return math.nan
    if scores.ndim > target.ndim:
        columns = [(scores[:, column], target == column) for column in range(scores.shape[1])]
    else:
        flat, labels = as_columns(scores, target)
        columns = [(flat[:, column].contiguous(), labels[:, column]) for column in range(flat.shape[1])]
    values = [value for value in (curve(one, positive) for one, positive in columns) if not math.isnan(value)]
    return math.fsum(values) / len(values) if values else math.nan
