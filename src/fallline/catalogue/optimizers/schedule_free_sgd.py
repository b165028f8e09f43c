"""Schedule-Free SGD

What it does:
SGD on fast weights z, whose running average x is what is judged and handed back; gradients are taken between the two,
at y = (1 - momentum) * z + momentum * x. The average does what a falling lr would do, at every moment, without
knowing when training ends. lr stays constant after a warm-up.

When it suits:
The length is not known or may be cut: each moment is as good as a schedule made for it. Images with SGD: it equals or
passes a tuned cosine on most of the paper's tasks. An untouched lr also makes rungs comparable.

When it does not:
Together with a falling schedule: the average and the schedule do the same work twice; take constant. Batch norm: its
running means are those of y, and x wants its own (a few forward passes with the final weights). lr is larger than
that of plain SGD, by a factor of 10 in the paper. Decay acts at y, so it is not exactly a share of the weights a
step.

Source:
A. Defazio et al., The Road Less Scheduled, NeurIPS 2024. pytorch_optimizer.ScheduleFreeSGD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "momentum")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("ScheduleFreeSGD", groups, h["weight_decay"], **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.ScheduleFreeSGD(groups, {shown})"


ENTRY = Optimizer(
    name="schedule_free_sgd",
    title="Schedule-Free SGD",
    source="Defazio et al. (2024), The Road Less Scheduled",
    space={
        "lr": lr(0.1, "a tenth of the library's, which small regressions do not survive without a warm-up", low=0.01, high=10.0),
        "momentum": Hyperparameter(
            default=0.9, why="the paper's: where between z and x gradients are taken", low=0.8, high=0.98, below=1.0
        ),
        "weight_decay": weight_decay(0.0, "the library's default: no decay unless asked for"),
    },
    example={"lr": 0.05, "momentum": 0.8, "weight_decay": 0.1},
    family="averaged",
    build=build,
    code=code,
    state_copies=1,
    switches=True,
    lags=True,
    package="pytorch_optimizer",
)
