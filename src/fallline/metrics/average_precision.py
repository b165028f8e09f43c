"""Average precision (AP)

What it does:
    The area under the steps of the precision-recall curve: precision at each distinct score, weighted by the recall it gains; 1 is perfect,
    guessing gives the share of positives. Several classes (each against the rest) or labels: the plain mean over those with positives.
When it suits:
    Positives are rare and the top of the list is what is used: search, fraud, screening.
When it does not:
    Sets with different shares of positives are compared (auroc does not change with the share), or probabilities must be right
    (log_loss). It is undefined (NaN) without positives.
Source:
    Davis and Goadrich (2006), "The relationship between precision-recall and ROC curves".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._ranks import mean_over_columns, precision_over_recall

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    return mean_over_columns(precision_over_recall, scores, target)


ENTRY = Metric(
    name="average_precision",
    title="Average precision (AP)",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "multilabel"),
    whole=whole,
    source="Davis and Goadrich, 2006, https://doi.org/10.1145/1143844.1143874",
    aliases=("ap", "auprc", "pr_auc"),
    needs_two_classes=True,
)
