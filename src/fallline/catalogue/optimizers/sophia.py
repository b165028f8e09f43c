"""Sophia

What it does:
Divides averaged gradients (beta1) by an average (beta2) of the curvature of each weight, and cuts what comes out at
`bound`, so that no weight moves further than lr * bound however flat it lies. The curvature is Hutchinson's estimate
every update_period steps: the gradient is differentiated once more along a random direction. weight_decay is
decoupled. Three floats a weight. A step with an estimate costs about three of the others.

When it suits:
Language models, for which the authors halve the steps of AdamW; badly scaled networks with smooth losses.

When it does not:
Losses without curvature (l1, hinge): there every weight takes the longest step. Layers that cannot be differentiated
twice (cuDNN's recurrent ones, fused attention) fail. Do not bring AdamW's lr: weights move by at most lr * bound, so
lr is a hundred times larger for the same step. Loops of your own, which keep no graph.

Source:
H. Liu, Z. Li, D. Hall, P. Liang and T. Ma, Sophia: A Scalable Stochastic Second-order Optimizer for Language Model
Pre-training, ICLR 2024. pytorch_optimizer.SophiaH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "update_period")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    settings = {name: h[name] for name in PLAIN}
    return library("SophiaH", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), p=h["bound"], **settings)


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.SophiaH(groups, betas=({h['beta1']!r}, {h['beta2']!r}), p={h['bound']!r}, {shown})"


ENTRY = Optimizer(
    name="sophia",
    title="Sophia",
    source="Liu et al. (2024), Sophia",
    space={
        "lr": lr(0.06, "the library's; times bound it is the longest step", low=3e-3, high=1.0),
        "beta1": beta1(0.96, "the authors': gradients are averaged over about 25 steps"),
        "beta2": beta2(0.99, "the authors': the curvature over about 100 estimates"),
        "bound": Hyperparameter(default=0.01, why="the library's and the authors'; lr is drawn beside it", above_zero=True),
        "update_period": Hyperparameter(
            default=10, why="the authors': an estimate then adds a fifth to the work", low=1, high=50, log=True, whole=True, above_zero=True
        ),
        "weight_decay": weight_decay(0.0, "the library's default; the authors train with 0.1 to 0.2"),
    },
    example={"lr": 0.02, "beta1": 0.8, "beta2": 0.5, "bound": 10.0, "update_period": 2, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=3,
    graph_every=lambda h: int(h["update_period"]),
    package="pytorch_optimizer",
    aliases=("sophia_h", "sophiah"),
)
