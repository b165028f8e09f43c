"""Matthews correlation coefficient (MCC)

What it does:
    The correlation between true and predicted classes, from all cells of the confusion matrix: 1 is perfect, 0 is no better than
    guessing, below 0 is worse. Zero when all predictions are one class, undefined (NaN) when all targets are.
When it suits:
    One number for imbalanced classes that rewards neither the common class nor the cry of wolf; positive and negative are alike.
When it does not:
    The threshold is chosen later (auroc, average_precision), or readers want a share they can picture (balanced_accuracy).
Source:
    Gorodkin (2004), "Comparing two K-category assignments by a K-category correlation coefficient".
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
    total = counts.sum()
    predicted, actual = counts.sum(0), counts.sum(1)
    spread_actual = float(total**2 - actual @ actual)
    spread_predicted = float(total**2 - predicted @ predicted)
    if not spread_actual:
        return math.nan
    if not spread_predicted:
        return 0.0
    # roots before the product: counts to the fourth power would leave float64's whole numbers
    return float(counts.trace() * total - predicted @ actual) / (math.sqrt(spread_actual) * math.sqrt(spread_predicted))


ENTRY = Metric(
    name="mcc",
    title="Matthews correlation coefficient (MCC)",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "sequence"),
    whole=whole,
    source="Gorodkin, 2004, https://doi.org/10.1016/j.compbiolchem.2004.09.006",
    aliases=("matthews", "matthews_corrcoef", "phi"),
    needs_two_classes=True,
)
