"""F1 score of the positive class

What it does:
    The harmonic mean of precision and recall of the positive class, at a threshold of 0.5; 1 is perfect. Zero when there are neither
    positives nor predicted positives.
When it suits:
    The positive class is rare, finding it and not crying wolf matter alike, and true negatives do not matter.
When it does not:
    Both classes matter (mcc, balanced_accuracy), or the threshold is chosen later (average_precision, auroc): the threshold of
    0.5 suits only a model whose probabilities are honest.
Source:
    van Rijsbergen (1979), "Information Retrieval", chapter 7.
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
    return math.nan if counts is None else float(f_scores(counts[1, 1], counts[:, 1].sum(), counts[1].sum()))


ENTRY = Metric(
    name="f1",
    title="F1 score of the positive class",
    direction="max",
    best=1.0,
    tasks=("binary",),
    whole=whole,
    source="van Rijsbergen, 1979, http://www.dcs.gla.ac.uk/Keith/Preface.html",
    aliases=("f1_score", "binary_f1", "dice"),
)
