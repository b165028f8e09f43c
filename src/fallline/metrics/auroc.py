"""Area under the ROC curve (AUROC)

What it does:
    The chance that a positive example gets a higher score than a negative one, ties counted half; 0.5 is guessing, 1 is perfect. Several
    classes (each against the rest) or labels: the plain mean over those that have both kinds.
When it suits:
    Examples are ranked, or the threshold is chosen later; it does not change with the share of positives.
When it does not:
    Positives are very rare and only the top of the list is used (average_precision), or the probabilities must be right (log_loss).
    It is undefined (NaN) where only one class is present.
Source:
    Hanley and McNeil (1982), "The meaning and use of the area under a receiver operating characteristic (ROC) curve".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._ranks import area_under_roc, mean_over_columns

if TYPE_CHECKING:
    import torch


def whole(scores: torch.Tensor, target: torch.Tensor) -> float:
    return mean_over_columns(area_under_roc, scores, target)


ENTRY = Metric(
    name="auroc",
    title="Area under the ROC curve (AUROC)",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "multilabel"),
    whole=whole,
    source="Hanley and McNeil, 1982, https://doi.org/10.1148/radiology.143.1.7063747",
    default_for=("binary",),
    aliases=("auc", "roc_auc", "rocauc"),
    needs_two_classes=True,
)
