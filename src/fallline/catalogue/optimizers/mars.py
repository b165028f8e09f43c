"""MARS (AdamW)

What it does:
AdamW on a corrected gradient: to g it adds gamma * beta1 / (1 - beta1) times its change since the last step, and cuts
the sum to length 1. The correction takes out part of the noise that two successive gradients share (variance
reduction). Here the approximate form, which uses the gradient of the last step as it was: one pass a step, three
floats a weight.

When it suits:
Language models at scale, where the paper reaches AdamW's loss in fewer tokens. Gradients whose noise is alike from
step to step.

When it does not:
Small batches of independent examples: the change of the gradient is then all noise, and the correction adds to it
(gamma is 0.025 for that reason). Each parameter's corrected gradient is cut to length 1, so a clip in the recipe on
top changes little.

Source:
H. Yuan et al., MARS: Unleashing the Power of Variance Reduction for Training Large Models, ICML 2025.
pytorch_optimizer.MARS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "gamma", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("MARS", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN}, optimize_1d=True)


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.MARS(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown}, optimize_1d=True)"


ENTRY = Optimizer(
    name="mars",
    title="MARS (AdamW)",
    source="Yuan et al. (2025), MARS",
    space={
        "lr": lr(3e-3, "the library's and the paper's", low=1e-4, high=3e-2),
        "beta1": beta1(0.95, "the paper's"),
        "beta2": beta2(0.99, "the paper's"),
        "gamma": Hyperparameter(
            default=0.025, why="the paper's: how much of the change is added", low=0.005, high=0.1, log=True, above_zero=True
        ),
        "eps": eps(why="the paper's: far below any gradient that matters"),
        "weight_decay": weight_decay(0.01, "AdamW's default; the library has none"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "gamma": 0.1, "eps": 0.001, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=3,
    package="pytorch_optimizer",
)
