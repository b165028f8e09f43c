"""Accuracy

What it does:
    The share of examples whose class is right: the most probable class (of equals, the first), or for yes/no targets probability above
    0.5. With several labels an example, the share of its labels that are right.
When it suits:
    Every mistake costs the same and no class is rare.
When it does not:
    One class is rare: always naming the common one scores high (balanced_accuracy, macro_f1, mcc). The probabilities themselves are
    used (log_loss, brier).
Source:
    scikit-learn user guide, "Metrics and scoring: accuracy score".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    if scores.ndim > target.ndim:
        right = scores.argmax(1) == target
        unknown = scores.isnan().any(1)
    else:
        right = (scores > 0.5) == (target > 0)  # a probability of exactly one half says no, as argmax over (no, yes) does
        unknown = scores.isnan()
    # a diverged model has no accuracy: without this it would get the share of the first class
    return per_example(right.double().masked_fill(unknown, float("nan")))


ENTRY = Metric(
    name="accuracy",
    title="Accuracy",
    direction="max",
    best=1.0,
    tasks=("binary", "multiclass", "ordinal", "multilabel", "sequence"),
    whole=mean_of(each),
    each=each,
    source="https://scikit-learn.org/stable/modules/model_evaluation.html#accuracy-score",
    default_for=("multiclass",),
    aliases=("acc", "top1", "top1_accuracy"),
)
