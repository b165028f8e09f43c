"""SGD with Nesterov momentum

What it does:
b <- momentum * b + g as with plain momentum, but the step is w <- w - lr * (g + momentum * b): the newest gradient
counts once more, as if it had been taken where the velocity is about to carry the weights. On smooth convex losses
that makes the error fall like 1 / steps^2, where gradient descent has 1 / steps. With l2, l2 * w joins the gradient
first.

When it suits:
Wherever momentum does, at the same lr and cost; it damps oscillation along steep directions somewhat better, which
allows momentum of 0.95 to 0.99 where the heavy ball would swing. Wide ResNets, DenseNet and many CIFAR records train
with it (lr 0.1, momentum 0.9, l2 5e-4).

When it does not:
With noisy small batches the correction is mostly noise, and the difference to plain momentum is within the spread of
seeds: do not spend runs on choosing between the two. Where gradients differ by orders of magnitude between layers
take an adaptive rule, or nadam, which is this idea inside Adam. torch's form uses lr of the present step for the
look-ahead; other libraries differ when lr changes fast.

Source:
Y. Nesterov, A Method of Solving a Convex Programming Problem with Convergence Rate O(1/k^2) (1983); Sutskever et al.
(2013) for the form used here. torch.optim.SGD(nesterov=True).
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

    cls = torch.optim.SGD
    return cls(torch_groups(groups, h["l2"]), lr=h["lr"], momentum=h["momentum"], nesterov=True, **fastest(cls, groups))


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    gradients = gradients.addcmul(h["l2"], weights)
    velocity = state["momentum_buffer"].mul_(h["momentum"]).add_(gradients)
    weights.sub_(h["lr"] * gradients.addcmul(h["momentum"], velocity))


ENTRY = Optimizer(
    name="nesterov",
    title="SGD with Nesterov momentum",
    source="Nesterov (1983); Sutskever et al. (2013); torch.optim.SGD(nesterov=True)",
    space={
        "lr": lr(1e-3, "torch's default; image recipes use 0.1", low=1e-3, high=1.0),
        "momentum": Hyperparameter(
            default=0.9,
            why="torch has 0, where Nesterov means nothing; 0.9 is the usual value",
            low=0.8,
            high=0.99,
            above_zero=True,
            below=1.0,
        ),
        "l2": l2(),
    },
    example={"lr": 0.02, "momentum": 0.5, "l2": 0.01},
    family="sgd",
    build=build,
    code=lambda h, fast: f"torch.optim.SGD(groups, {keywords(h, 'l2')}, nesterov=True{fast})",
    state_copies=1,
    decay="l2",
    stock="torch.optim.SGD",
    aliases=("nag", "sgd_nesterov"),
    lanes=LaneRule(update=update, keeps=lambda h: ("momentum_buffer",), counts=False),
)
