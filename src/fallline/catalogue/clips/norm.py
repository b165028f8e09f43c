"""Clipping by global norm

What it does:
Takes the Euclidean norm g of all gradients together, as one long vector, and when g > max_norm multiplies every
gradient by max_norm / g. The direction stays, only the length is limited, so one step of SGD can never move the
weights by more than lr * max_norm.

When it suits:
Recurrent networks, where the gradient is a product of many Jacobians and now and then explodes; transformers, where
1.0 is the usual value (GPT-3, LLaMA); any loss that can meet a freak batch. A good value is a little above the usual
norm, so that one step in ten to one in a hundred is cut: watch the norm for 100 steps, and take its 90 % quantile.

When it does not:
A max_norm far below the usual norm cuts every step and turns SGD into normalised SGD: the learning rate alone then
decides the step length and no longer shrinks near the optimum. The norm grows with the square root of the number of
weights, so a value does not carry over between models. One exploding layer shrinks the step of all the others. With
Adam, which divides the scale out again, clipping every step changes almost nothing; only rare large gradients matter.

Source:
R. Pascanu, T. Mikolov and Y. Bengio, On the Difficulty of Training Recurrent Neural Networks, ICML 2013.
torch.nn.utils.clip_grad_norm_.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Clip, ClipFunction, Hyperparameter, Settings

if TYPE_CHECKING:
    import torch


def build(h: Settings) -> ClipFunction:
    import torch

    max_norm = float(h["max_norm"])

    def clip(parameters: Sequence[torch.Tensor]) -> object:
        # foreach is left to torch, which takes it on every device that has it
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm=max_norm)

    return clip


def lanes(gradients: torch.Tensor, h: Mapping[str, Any]) -> torch.Tensor:
    lengths = gradients.norm(dim=1, keepdim=True)
    shrunk: torch.Tensor = h["max_norm"] / (lengths + 1e-6)  # the same 1e-6 as in torch.nn.utils.clip_grad_norm_
    return gradients * shrunk.clamp(max=1.0)


ENTRY = Clip(
    name="norm",
    title="Clipping by global norm",
    source="Pascanu, Mikolov and Bengio (2013); torch.nn.utils.clip_grad_norm_",
    space={
        "max_norm": Hyperparameter(
            default=1.0, why="what GPT-3 and LLaMA train with, and the usual value for LSTMs", low=0.1, high=10.0, log=True, above_zero=True
        )
    },
    example={"max_norm": 0.5},
    build=build,
    code=lambda h: f"torch.nn.utils.clip_grad_norm_(parameters, max_norm={float(h['max_norm'])!r})",
    aliases=("global_norm", "clip_grad_norm"),
    lanes=lanes,
)
