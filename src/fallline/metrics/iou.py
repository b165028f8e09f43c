"""Intersection over union (IoU, Jaccard index)

What it does:
    Of all positions (or examples) that are positive or predicted so at a threshold of 0.5, the share that is both; 1 is perfect. All images
    are pooled, so large objects count more. With several classes, the plain mean over those that occur or were predicted.
When it suits:
    Masks: most of a picture is background, which it takes no credit for. It orders models as Dice (f1) does, only more strictly.
When it does not:
    Every object counts alike, however small, or borders matter more than areas. The probabilities are used (log_loss).
Source:
    Jaccard (1912), "The distribution of the flora in the alpine zone"; torchmetrics.JaccardIndex.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._counts import confusion

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    counts = confusion(scores, target)
    if counts is None:
        return math.nan
    both = counts.diagonal()
    either = counts.sum(0) + counts.sum(1) - both
    if scores.ndim == target.ndim:
        return float(both[1] / either[1].clamp(min=1))  # a whole number: below one there is nothing to find
    return float((both / either.clamp(min=1))[either > 0].mean())


ENTRY = Metric(
    name="iou",
    title="Intersection over union (IoU, Jaccard index)",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "sequence"),
    whole=whole,
    source="Jaccard, 1912, https://doi.org/10.1111/j.1469-8137.1912.tb05611.x",
    aliases=("jaccard", "jaccard_index", "miou", "mean_iou"),
)
