"""Log loss (cross-entropy)

What it does:
    The mean of -log(probability given to what happened), in nats; lower is better. With several labels an example, the mean over them.
    Probabilities of yes/no targets are kept one float epsilon away from 0 and 1, so one confident mistake costs at most 16 nats
    in float32; class probabilities are only kept above zero.
When it suits:
    The probabilities are used: ranking by expected value, thresholds set later, stacking, language.
When it does not:
    Only the chosen class counts (accuracy), or a few confident mistakes should not dominate (brier).
Source:
    Good (1952), "Rational decisions".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of, per_example

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import torch

    precision = torch.finfo(scores.dtype)
    if scores.ndim > target.ndim:
        given = scores.gather(1, target.long().unsqueeze(1)).squeeze(1)
        return per_example(-given.double().clamp(min=precision.tiny).log())  # softmax is exact down to the smallest float
    likely = scores.double().clamp(precision.eps, 1 - precision.eps)  # 1 - p has no digits below epsilon; the same on both sides is fair
    labels = target.double()
    return per_example(-(labels * likely.log() + (1 - labels) * (1 - likely).log()))


ENTRY = Metric(
    name="log_loss",
    title="Log loss (cross-entropy)",
    direction="min",
    best=0.0,
    tasks=("binary", "multiclass", "ordinal", "multilabel", "sequence"),
    whole=mean_of(each),
    each=each,
    source="Good, 1952, https://doi.org/10.1111/j.2517-6161.1952.tb00104.x",
    default_for=("sequence",),
    aliases=("logloss", "cross_entropy", "bce", "binary_cross_entropy", "nll", "negative_log_likelihood"),
)
