"""Adagrad

What it does:
Adds up the squares of every weight's gradients for ever, s <- s + g^2, and steps w <- w - lr * g / (sqrt(s) + eps). A
weight that is seldom touched keeps a large step when its turn comes; one that is touched always slows down like
1 / sqrt(steps). So it brings its own decaying schedule, one for each weight. With l2, l2 * w joins the gradient
first.

When it suits:
Sparse data: click models, bags of words, large embedding tables with a linear or shallow network on top, where most
rows see few gradients. Convex problems, for which its regret bound was proven. One float a weight, and a choice of lr
that matters less than with SGD.

When it does not:
Deep networks: the sum only grows, so after some thousand steps learning stops while the loss could still fall;
RMSprop and Adam replaced the sum by a forgetting average for that reason. A schedule that decays on top slows it
twice: keep it constant. The first steps are lr * sign(g), which with torch's lr of 0.01 and no warm-up is rough;
initial_accumulator_value = 0.1 (TensorFlow's default) softens them.

Source:
J. Duchi, E. Hazan and Y. Singer, Adaptive Subgradient Methods for Online Learning and Stochastic Optimization, JMLR
12 (2011). torch.optim.Adagrad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import eps, fastest, keywords, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Adagrad
    plain = {name: h[name] for name in ("lr", "lr_decay", "initial_accumulator_value", "eps")}
    return cls(torch_groups(groups, h["l2"]), **plain, **fastest(cls, groups))


ENTRY = Optimizer(
    name="adagrad",
    title="Adagrad",
    source="Duchi, Hazan and Singer (2011); torch.optim.Adagrad",
    space={
        "lr": lr(1e-2, "torch's default", low=1e-3, high=1.0),
        "lr_decay": Hyperparameter(default=0.0, why="torch's default: the growing sum is decay enough", low=1e-6, high=1e-2, log=True),
        "initial_accumulator_value": Hyperparameter(default=0.0, why="torch's default; TensorFlow has 0.1", low=0.0, high=0.1),
        "eps": eps(1e-10, "torch's default: smaller than elsewhere, because the sum never shrinks"),
        "l2": l2(),
    },
    example={"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-3, "l2": 0.1},
    family="adaptive",
    build=build,
    code=lambda h, fast: f"torch.optim.Adagrad(groups, {keywords(h, 'l2')}{fast})",
    state_copies=1,
    decay="l2",
    stock="torch.optim.Adagrad",
)
