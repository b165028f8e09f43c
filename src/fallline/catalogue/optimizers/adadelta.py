"""Adadelta

What it does:
Keeps two forgetting averages for each weight, of squared gradients and of its own squared steps, and steps by the ratio of
their roots times the gradient: w <- w - lr * sqrt(u + eps) / sqrt(v + eps) * g. The units cancel, so a step has the
size of earlier steps, whatever the scale of the loss, and lr = 1 is the rule as the paper has it. With l2, l2 * w
joins the gradient first.

When it suits:
Where nobody wants to choose an lr, and time is no matter: small recurrent networks and older text models were trained with
it. torch's MNIST example uses it with lr 1 and an exponential schedule.

When it does not:
It begins very slowly: the first steps are about sqrt(eps) = 0.001 long and have to grow out of themselves, so short
trainings end before it is under way. Adam is faster nearly everywhere, at the same two floats a weight. A larger eps
(1e-4) starts it faster and makes it rougher at the end.

Source:
M. D. Zeiler, ADADELTA: An Adaptive Learning Rate Method (2012). torch.optim.Adadelta.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import eps, fastest, keywords, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Adadelta
    return cls(torch_groups(groups, h["l2"]), lr=h["lr"], rho=h["rho"], eps=h["eps"], **fastest(cls, groups))


ENTRY = Optimizer(
    name="adadelta",
    title="Adadelta",
    source="Zeiler (2012); torch.optim.Adadelta",
    space={
        "lr": lr(1.0, "torch's default: the rule as the paper has it", low=0.1, high=10.0),
        "rho": Hyperparameter(default=0.9, why="torch's default; the paper has 0.95", low=0.8, high=0.99, below=1.0),
        "eps": eps(1e-6, "torch's default and the paper's: it sets the length of the first steps"),
        "l2": l2(),
    },
    example={"lr": 3.0, "rho": 0.8, "eps": 1e-3, "l2": 0.1},
    family="adaptive",
    build=build,
    code=lambda h, fast: f"torch.optim.Adadelta(groups, {keywords(h, 'l2')}{fast})",
    state_copies=2,
    decay="l2",
    stock="torch.optim.Adadelta",
)
