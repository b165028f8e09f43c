"""Rprop (resilient backpropagation)

What it does:
Reads only the sign of each gradient. Every weight has a step length of its own, which grows by `up` while the sign stays
and falls by `down` when it turns; then the weight waits one step. lr is the length of the very first step and nothing
else, so no schedule acts on it.

When it suits:
Small networks and small data trained in full batches: there it is fast, needs no lr and is hard to break. Losses whose
scale differs wildly between layers or problems (physics, fitted formulas), since only signs are read.

When it does not:
Mini-batches: signs that turn by chance make all steps shrink, so it is refused wherever train is more than one batch
(RMSprop was made to repair that). Dropout, for the same reason. Very flat ends, where signs are noise.

Source:
M. Riedmiller and H. Braun, A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm, ICNN 1993.
torch.optim.Rprop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import fastest, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Rprop
    plain = [{key: value for key, value in group.items() if key != "weight_decay"} for group in torch_groups(groups, 0.0)]
    return cls(plain, lr=h["lr"], etas=(h["down"], h["up"]), step_sizes=(h["shortest"], h["longest"]), **fastest(cls, groups))


def code(h: Settings, fast: str) -> str:
    etas, sizes = (h["down"], h["up"]), (h["shortest"], h["longest"])
    return f"torch.optim.Rprop(groups, lr={h['lr']!r}, etas={etas!r}, step_sizes={sizes!r}{fast})"


ENTRY = Optimizer(
    name="rprop",
    title="Rprop (resilient backpropagation)",
    source="Riedmiller and Braun (1993); torch.optim.Rprop",
    space={
        "lr": lr(1e-2, "torch's default: the first step only", low=1e-4, high=0.1),
        "down": Hyperparameter(default=0.5, why="torch's default and the paper's", low=0.3, high=0.8, above_zero=True, below=1.0),
        "up": Hyperparameter(default=1.2, why="torch's default and the paper's", low=1.1, high=1.4, above=1.0),
        "shortest": Hyperparameter(default=1e-6, why="torch's default and the paper's", low=1e-9, high=1e-3, log=True, above_zero=True),
        "longest": Hyperparameter(default=50.0, why="torch's default and the paper's", low=0.01, high=50.0, log=True, above_zero=True),
    },
    example={"lr": 0.1, "down": 0.3, "up": 1.4, "shortest": 0.008, "longest": 0.015},
    family="sign",
    build=build,
    code=code,
    state_copies=2,
    decay="",
    full_batch=True,
    heeds_schedule=False,
    stock="torch.optim.Rprop",
)
