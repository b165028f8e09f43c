"""LAMB

What it does:
Adam's step, made for each weight matrix, kernel or bias as long as its weights are: the direction is Adam's, the
length is lr times the norm of the weights. So no layer is moved by more than a share lr of itself, however large the
gradients.

When it suits:
Very large batches (4,096 and more), for which it was made: BERT in 76 minutes at 32,000. lr may then grow with the
root of the batch, where Adam would break.

When it does not:
Small batches: there Adam and AdamW are as good or better with less to watch. Layers that begin at zero move as Adam
would. Weights without decay grow, and with them the steps. Gains on ordinary batches are within noise.

Source:
Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 Minutes, ICLR 2020.
pytorch_optimizer.Lamb.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("Lamb", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.Lamb(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="lamb",
    title="LAMB",
    source="You et al. (2020), Large Batch Optimization for Deep Learning",
    space={
        "lr": lr(1e-3, "the library's; a share of the weights a step", low=1e-4, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(1e-6, "the paper's and the library's"),
        "weight_decay": weight_decay(0.01, "the paper's"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.001, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    package="pytorch_optimizer",
)
