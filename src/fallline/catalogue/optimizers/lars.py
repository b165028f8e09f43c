"""LARS

What it does:
SGD with momentum in which the gradient of each weight matrix or kernel is first made trust_coefficient times as long
as its weights are; biases and norms follow plain SGD. So the relative change a step is the same in all layers, and lr
may be large. l2 joins the gradient before its length is taken.

When it suits:
Very large batches on convolutional networks with batch norm: ResNet-50 at batches of 8,192 to 32,768, with a warm-up
and polynomial decay. Self-supervised training at large batches (SimCLR, BYOL) uses it.

When it does not:
Ordinary batches, where SGD with momentum is as good and better understood. lr means something else here (0.1 to 10),
so none can be brought from SGD. Transformers: LAMB is its form for Adam.

Source:
Y. You, I. Gitman and B. Ginsburg, Large Batch Training of Convolutional Networks (2017). pytorch_optimizer.LARS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import l2, library, lr

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "momentum", "trust_coefficient")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("LARS", groups, h["l2"], **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.LARS(groups, {shown})"


ENTRY = Optimizer(
    name="lars",
    title="LARS",
    source="You, Gitman and Ginsburg (2017)",
    space={
        "lr": lr(
            0.1, "as for SGD, since biases and norms follow plain SGD at it; published ones for matrices go to 10", low=0.01, high=10.0
        ),
        "momentum": Hyperparameter(default=0.9, why="the paper's", low=0.8, high=0.98, below=1.0),
        "trust_coefficient": Hyperparameter(
            default=1e-3, why="the paper's and the library's", low=1e-4, high=2e-2, log=True, above_zero=True
        ),
        "l2": l2(why="the library's default: no decay unless asked for"),
    },
    example={"lr": 0.3, "momentum": 0.5, "trust_coefficient": 0.02, "l2": 0.1},
    family="sgd",
    build=build,
    code=code,
    state_copies=1,
    decay="l2",
    package="pytorch_optimizer",
)
