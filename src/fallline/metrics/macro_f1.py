"""Macro F1 score

What it does:
    The F1 score of every class or label, then their plain mean, so a rare class counts as much as a common one; 1 is perfect. A class that
    is neither present nor predicted is left out; one that is predicted but absent counts zero. Every label of a multi-label
    target counts, one without positives or predictions as zero.
When it suits:
    Classes are imbalanced and each matters alike.
When it does not:
    Each example matters alike (accuracy, micro_f1). With very rare classes a few examples decide the score: expect wide intervals.
Source:
    Opitz and Burst (2019), "Macro F1 and Macro F1".
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
    if counts.ndim > 2:
        return float(f_scores(counts[:, 1, 1], counts[:, :, 1].sum(1), counts[:, 1].sum(1)).mean())
    predicted, actual = counts.sum(0), counts.sum(1)
    return float(f_scores(counts.diagonal(), predicted, actual)[predicted + actual > 0].mean())


ENTRY = Metric(
    name="macro_f1",
    title="Macro F1 score",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "ordinal", "multilabel", "sequence"),
    whole=whole,
    source="Opitz and Burst, 2019, https://arxiv.org/abs/1911.03347",
    default_for=("multilabel",),
    aliases=("f1_macro",),
)
