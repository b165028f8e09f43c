"""Outputs: whether a model gives probabilities, their logarithms or plain numbers, told by how it ends."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fallline._adapt import End
from fallline._batches import seeded
from fallline._problem import call
from fallline.metrics import PER_CLASS

DRAWS = 8  # sets of other weights; a single linear output stays within [0, 1] under one of them less than one time in four
SPREAD = 3.0  # deviation of what is added to every weight: log-odds and small positive numbers do not survive it
KINDS = {"sigmoid": "probability", "softmax": "probability", "log_softmax": "log-probability"}


def output_kind(model: nn.Module, inputs: Any, outputs: Tensor, task: str, end: End) -> str:
    """ "probability", "log-probability" or "real".

    An activation module at the end says it. Otherwise outputs that look like probabilities are believed only where they still do under
    other weights: those of a linear layer that starts at log-odds, or at small positive numbers, do not.
    """
    of_classes = task in PER_CLASS and outputs.shape[1] > 1
    if not (of_classes or task in ("binary", "multilabel")):
        return "real"
    if end.does and (end.does == "sigmoid") != of_classes:
        return KINDS[end.does]
    looks: dict[str, Callable[[Tensor], bool]] = {"probability": _within}
    if of_classes:
        looks = {"log-probability": lambda values: _near(values.logsumexp(dim=1), 0.0), "probability": _shares}
    kind = next((kind for kind, holds in looks.items() if holds(outputs.double())), "real")
    return kind if kind == "real" or _lasts(model, inputs, looks[kind]) else "real"


def _lasts(model: nn.Module, inputs: Any, holds: Callable[[Tensor], bool]) -> bool:
    """Whether outputs keep to what holds of them when every weight is another, as far as they are finite."""
    for draw in range(DRAWS):
        other = copy.deepcopy(model).eval()
        with torch.no_grad(), seeded(draw):
            for parameter in other.parameters():
                if parameter.is_floating_point():
                    parameter.add_(SPREAD * torch.randn(parameter.shape).to(parameter.device, parameter.dtype))
            values = call(other, inputs).double().cpu()
        if bool(torch.isfinite(values).all()) and not holds(values):
            return False
    return True


def _within(values: Tensor) -> bool:
    return bool(((values >= 0) & (values <= 1)).all())


def _near(values: Tensor, wanted: float) -> bool:
    return bool(((values - wanted).abs() < 1e-4).all())  # sums of float32 exponentials over some thousand classes


def _shares(values: Tensor) -> bool:
    return _within(values) and _near(values.sum(dim=1), 1.0)
