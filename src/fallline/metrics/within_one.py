"""Accuracy within one rank

What it does:
    The share of examples whose predicted rank is right or next to it (the rank in the middle of the probability); 1 is perfect.
When it suits:
    Grades on which judges themselves differ by one: ratings, stages of a disease, age groups.
When it does not:
    Few ranks: of three, naming the middle one is always within one. How far off the others are matters (mae, quadratic_kappa).
Source:
    Gaudette and Japkowicz (2009), "Evaluation methods for ordinal classification"; "1-off accuracy" of age estimation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import errors, mean_of, per_example
from fallline.metrics._middle import ranks

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    distance = errors(ranks(scores), target).abs()
    return per_example((distance <= 1).double().masked_fill(distance.isnan(), float("nan")))


ENTRY = Metric(
    name="within_one",
    title="Accuracy within one rank",
    direction="max",
    best=1.0,
    tasks=("ordinal",),
    whole=mean_of(each),
    each=each,
    source="Gaudette and Japkowicz, 2009, https://doi.org/10.1007/978-3-642-01818-3_25",
    aliases=("one_off_accuracy", "accuracy_within_one", "off_by_one"),
)
