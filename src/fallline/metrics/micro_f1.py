"""Micro F1 score

What it does:
    One F1 score from the true positives, false positives and misses of all labels or classes added up; 1 is perfect. For one class an
    example it is the accuracy. Zero when nothing is positive or predicted.
When it suits:
    Several labels an example, most of them negative: unlike accuracy it takes no credit for the many easy negatives.
When it does not:
    Rare labels matter as much as common ones (macro_f1).
Source:
    Manning, Raghavan and Schütze (2008), "Introduction to Information Retrieval", section 13.6.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._counts import confusion, f_scores

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    counts = confusion(scores, target)
    if counts is None:
        return math.nan
    if scores.ndim == target.ndim:
        cells = counts.reshape(-1, 2, 2).sum(0)
        return float(f_scores(cells[1, 1], cells[:, 1].sum(), cells[1].sum()))
    return float(f_scores(counts.diagonal().sum(), counts.sum(), counts.sum()))


ENTRY = Metric(
    name="micro_f1",
    title="Micro F1 score",
    direction="max",
    best=1.0,
    tasks=("multiclass", "multilabel", "sequence"),
    whole=whole,
    source="Manning et al., 2008, https://nlp.stanford.edu/IR-book/",
    aliases=("f1_micro",),
)
