"""Balanced accuracy

What it does:
    The share found of each class (its recall), then the plain mean over the classes present in the target; 1 is perfect, one over the
    number of classes is guessing.
When it suits:
    Classes are imbalanced and missing one in ten of a rare class is as bad as missing one in ten of a common one.
When it does not:
    False alarms cost: naming a rare class too often is hardly punished (macro_f1, mcc). With very rare classes intervals are wide.
Source:
    Brodersen, Ong, Stephan and Buhmann (2010), "The balanced accuracy and its posterior distribution".
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
    actual = counts.sum(1)
    present = actual > 0
    return float((counts.diagonal()[present] / actual[present]).mean())


ENTRY = Metric(
    name="balanced_accuracy",
    title="Balanced accuracy",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "ordinal", "sequence"),
    whole=whole,
    source="Brodersen et al., 2010, https://doi.org/10.1109/ICPR.2010.764",
    aliases=("bacc", "macro_recall", "balanced_acc"),
)
