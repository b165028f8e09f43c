"""Top-5 accuracy

What it does:
    The share of examples whose true class is among the five most probable; of equally probable classes the first come first.
When it suits:
    Many classes, some hard to tell apart, and a short list is shown to somebody who picks.
When it does not:
    There are few classes: with five or fewer it is always 1. The first answer is what counts (accuracy).
Source:
    Russakovsky et al. (2015), "ImageNet Large Scale Visual Recognition Challenge".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import torch

    given = target.long().unsqueeze(1)
    own = scores.gather(1, given)
    # a tie is broken by position, or a model that says the same of every class would be right everywhere
    before = (scores > own) | ((scores == own) & (torch.arange(scores.shape[1]) < given))
    return (before.sum(1) < 5).double().masked_fill(scores.isnan().any(1), float("nan"))


ENTRY = Metric(
    name="top5_accuracy",
    title="Top-5 accuracy",
    direction="max",
    best=1.0,
    tasks=("multiclass", "sequence"),
    whole=mean_of(each),
    each=each,
    source="Russakovsky et al., 2015, https://arxiv.org/abs/1409.0575",
    aliases=("top5", "top_5", "top_5_accuracy"),
)
