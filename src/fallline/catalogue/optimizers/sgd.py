"""Stochastic gradient descent (plain)

What it does:
w <- w - lr * g, where g is the gradient of one batch. Nothing is remembered between steps, so it keeps no state at
all: memory is the weights and their gradients. With l2, l2 * w is added to g first; since nothing rescales the
gradient, that is the same as decoupled decay of lr * l2 a step. The largest stable lr is 2 / (largest curvature of
the loss).

When it suits:
Well-conditioned problems: linear models, shallow networks on standardised inputs, networks with batch norm and a
decaying schedule. As a check that a loss can go down at all, since there is only one number to set. When memory is so
short that even one extra float per weight does not fit.

When it does not:
The loss falls like (1 - 1/K)^steps with K the condition number, so on badly scaled inputs or deep networks without
normalisation it crawls along the flat directions; momentum turns K into its square root at the price of one float a
weight. Embeddings and transformers, whose gradients differ by orders of magnitude from one matrix to the next, need
an adaptive rule. torch's default lr of 0.001 is nearly always too small here: try 0.1, then 0.01.

Source:
H. Robbins and S. Monro, A Stochastic Approximation Method, Annals of Mathematical Statistics 22 (1951).
torch.optim.SGD.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import fastest, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    return torch.optim.SGD(torch_groups(groups, h["l2"]), lr=h["lr"], **fastest(torch.optim.SGD, groups))


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    weights.sub_(h["lr"] * gradients.addcmul(h["l2"], weights))


ENTRY = Optimizer(
    name="sgd",
    title="Stochastic gradient descent (plain)",
    source="Robbins and Monro (1951); torch.optim.SGD",
    space={
        "lr": lr(1e-3, "torch's default; the race mostly ends 10 to 100 times higher", low=1e-3, high=1.0),
        "l2": l2(),
    },
    example={"lr": 0.05, "l2": 0.01},
    family="sgd",
    build=build,
    code=lambda h, fast: f"torch.optim.SGD(groups, lr={h['lr']!r}{fast})",
    state_copies=0,
    decay="l2",
    stock="torch.optim.SGD",
    aliases=("plain_sgd", "gradient_descent"),
    lanes=LaneRule(update=update, keeps=lambda h: (), counts=False),
)
