"""SGD with momentum (heavy ball)

What it does:
Keeps a velocity b of gradients: b <- momentum * b + g, then w <- w - lr * b. A lasting gradient adds up to
1 / (1 - momentum) times itself, ten at 0.9, while one that flips its sign every step is damped to about a half. So
lr = 0.01 with momentum 0.9 moves about as far as lr = 0.1 without. With l2, l2 * w joins the gradient first.

When it suits:
Convolutional networks with batch norm and a long, decaying schedule: the classic recipe is lr 0.1, momentum 0.9, l2
5e-4 (1e-4 on ImageNet), and it still ends in front of Adam there more often than not. Anything well conditioned where
one float of state a weight is what you can pay. The number of steps goes with the square root of the condition
number, not with the number itself.

When it does not:
Transformers and embeddings, where the scales of gradients differ from layer to layer. With 0.99 the velocity
remembers 100 steps and overshoots for as long: raise momentum and lower lr together, keeping lr / (1 - momentum)
fixed. It needs lr tuned within a factor of three, and a warm-up at large lr; a race that judges after one epoch
underrates it, because it wins late.

Source:
B. T. Polyak, Some Methods of Speeding up the Convergence of Iteration Methods (1964); I. Sutskever et al., On the
Importance of Initialization and Momentum in Deep Learning, ICML 2013. torch.optim.SGD(momentum=...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import fastest, keywords, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    return torch.optim.SGD(torch_groups(groups, h["l2"]), lr=h["lr"], momentum=h["momentum"], **fastest(torch.optim.SGD, groups))


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    velocity = state["momentum_buffer"].mul_(h["momentum"]).add_(gradients.addcmul(h["l2"], weights))
    weights.sub_(h["lr"] * velocity)


ENTRY = Optimizer(
    name="momentum",
    title="SGD with momentum (heavy ball)",
    source="Polyak (1964); Sutskever et al. (2013); torch.optim.SGD",
    space={
        "lr": lr(1e-3, "torch's default; image recipes use 0.1", low=1e-3, high=1.0),
        "momentum": Hyperparameter(
            default=0.9, why="torch has 0, which is sgd; 0.9 is what nearly every recipe uses", low=0.8, high=0.99, below=1.0
        ),
        "l2": l2(),
    },
    example={"lr": 0.02, "momentum": 0.5, "l2": 0.01},
    family="sgd",
    build=build,
    code=lambda h, fast: f"torch.optim.SGD(groups, {keywords(h, 'l2')}{fast})",
    state_copies=1,
    decay="l2",
    stock="torch.optim.SGD",
    aliases=("sgd_momentum", "heavy_ball"),
    lanes=LaneRule(update=update, keeps=lambda h: ("momentum_buffer",), counts=False),
)
