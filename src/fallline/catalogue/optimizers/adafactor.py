"""Adafactor

What it does:
Adam's division by the root of averaged squared gradients, with the average of a matrix kept as one number a row and one a
column, whose product stands for the whole. No momentum. A step is at most lr times the root mean square of the weights
it changes (or 1 / sqrt(step) times, where that is smaller), so lr is relative: 0.01 changes weights by about a
hundredth a step.

When it suits:
Models that barely fit: almost no state for matrices, where AdamW keeps two floats a weight. T5 and other large sequence
models were trained with it; embeddings with many rows.

When it does not:
Small models, where memory is nothing and Adam's momentum makes the path smoother. Weights that begin at zero (some
gates, last layers) move slowly, as steps are relative to their size. The built-in 1 / sqrt(step) bounds lr from above:
at step 10,000 it is 0.01 whatever you ask for. Convolutions are factored along their last two, short sides, which saves
little.

Source:
N. Shazeer and M. Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, ICML 2018. torch.optim.Adafactor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import fastest, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Adafactor
    plain = {name: h[name] for name in ("lr", "beta2_decay")}
    return cls(torch_groups(groups, h["weight_decay"]), eps=(None, h["smallest"]), **plain, **fastest(cls, groups))


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in ("lr", "beta2_decay"))
    return f"torch.optim.Adafactor(groups, eps=(None, {h['smallest']!r}), {shown}{fast})"


ENTRY = Optimizer(
    name="adafactor",
    title="Adafactor",
    source="Shazeer and Stern (2018); torch.optim.Adafactor",
    space={
        "lr": lr(1e-2, "torch's default and the paper's: a hundredth of the weights a step", low=1e-3, high=0.1),
        "beta2_decay": Hyperparameter(
            default=-0.8,
            why="torch's default and the paper's: the average forgets less and less",
            low=-1.0,
            high=-0.5,
            negative=True,
            below=0.0,
        ),
        "smallest": Hyperparameter(
            default=1e-3,
            why="torch's default and the paper's: what weights at zero are taken to be",
            low=1e-4,
            high=1e-2,
            log=True,
            above_zero=True,
        ),
        "weight_decay": weight_decay(0.0, "torch's default: no decay unless asked for"),
    },
    example={"lr": 0.1, "beta2_decay": -0.5, "smallest": 3.0, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=1,  # of a vector; of a matrix one number a row and a column
    stock="torch.optim.Adafactor",
)
