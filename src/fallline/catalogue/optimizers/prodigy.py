"""Prodigy

What it does:
Adam that finds its own lr. It estimates the distance d from the start to the solution, from how far the gradients
seen so far agree with the way already gone, and steps by lr * d in the place of lr. d begins tiny and only grows. lr
= 1 leaves the estimate as it is; the schedule multiplies it.

When it suits:
Nobody knows a good lr and there is no budget to try several: fine-tuning of diffusion models (LoRA) uses it as a
standard. Together with a cosine schedule it came within a few tenths of a tuned Adam on most of the paper's tasks.

When it does not:
A known good lr: then it only costs two floats a weight more than Adam. The first steps, in which d is still growing;
a warm-up on top slows that further. d never falls, so one freak gradient early on leaves the lr too high for good:
clip. No decay is offered here: it would be scaled by d as well.

Source:
K. Mishchenko and A. Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, ICML 2024.
pytorch_optimizer.Prodigy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "d_coef", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("Prodigy", groups, 0.0, betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.Prodigy(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="prodigy",
    title="Prodigy",
    source="Mishchenko and Defazio (2024)",
    space={
        "lr": lr(1.0, "the paper's: the estimate as it is", low=0.1, high=3.0),
        "beta1": beta1(),
        "beta2": beta2(),
        "d_coef": Hyperparameter(
            default=1.0,
            why="the paper's; 0.5 and 2 make the estimate more careful or bolder",
            low=0.25,
            high=4.0,
            log=True,
            above_zero=True,
        ),
        "eps": eps(why="the paper's: far below any gradient that matters"),
    },
    example={"lr": 0.5, "beta1": 0.8, "beta2": 0.9, "d_coef": 2.0, "eps": 0.001},
    family="parameter-free",
    build=build,
    code=code,
    state_copies=4,
    decay="",
    package="pytorch_optimizer",
)
