"""Clipping by value

What it does:
Cuts each element of each gradient on its own to the interval from -clip_value to clip_value. A spike in one weight is
flattened without touching the rest, so the direction of the step changes: it turns towards the diagonal, and with a
very small clip_value only the signs remain (signSGD with a step of lr * clip_value).

When it suits:
Spikes that sit in a few coordinates: a rare embedding row, one output of a regression with an outlier, an LSTM gate.
It needs no norm over the whole model, so nothing has to be gathered first, and one exploding layer does not slow the
others.

When it does not:
As a general remedy: where the usual gradient elements are above clip_value little more than the signs of the gradient
is left, and the relative learning rates of layers are levelled. Elements are much smaller than the norm (about
norm / sqrt(number of weights): a norm of 1 over a million weights means 0.001 each), so a value such as 0.5 often
never acts at all; check that it does. For exploding gradients of recurrent networks the norm is the better tool.

Source:
A. Graves, Generating Sequences with Recurrent Neural Networks (2013), section 2.1, who cut to [-10, 10] and [-100,
100]. torch.nn.utils.clip_grad_value_.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Clip, ClipFunction, Hyperparameter, Settings

if TYPE_CHECKING:
    import torch


def build(h: Settings) -> ClipFunction:
    import torch

    clip_value = float(h["clip_value"])

    def clip(parameters: Sequence[torch.Tensor]) -> object:
        torch.nn.utils.clip_grad_value_(parameters, clip_value=clip_value)
        return None

    return clip


def lanes(gradients: torch.Tensor, h: Mapping[str, Any]) -> torch.Tensor:
    return gradients.clamp(-h["clip_value"], h["clip_value"])


ENTRY = Clip(
    name="value",
    title="Clipping by value",
    source="Graves (2013), Generating Sequences with Recurrent Neural Networks; torch.nn.utils.clip_grad_value_",
    space={
        "clip_value": Hyperparameter(
            default=0.5,
            why="the value of torch's and Lightning's examples; high enough to touch spikes only",
            low=0.01,
            high=10.0,
            log=True,
            above_zero=True,
        )
    },
    example={"clip_value": 0.05},
    build=build,
    code=lambda h: f"torch.nn.utils.clip_grad_value_(parameters, clip_value={float(h['clip_value'])!r})",
    aliases=("clip_grad_value",),
    lanes=lanes,
)
