"""Schedule-Free AdamW

What it does:
AdamW's step on fast weights z, whose running average x is what is judged and handed back; gradients are taken between
the two, at y = (1 - beta1) * z + beta1 * x. There is no momentum beside it, so the state is as large as AdamW's. The
average does what a falling lr would do, without knowing when training ends.

When it suits:
The length is not known or may be cut, and AdamW would be the choice: transformers, tables, fine-tuning. It won the
self-tuning track of AlgoPerf 2024.

When it does not:
Together with a falling schedule: the two do the same work twice; take constant, with a warm-up. Batch norm, whose
running means belong to y and not to x. In very short trainings the average still holds the early weights. Decay acts
at y, so it is not exactly a share of the weights a step.

Source:
A. Defazio et al., The Road Less Scheduled, NeurIPS 2024. pytorch_optimizer.ScheduleFreeAdamW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("ScheduleFreeAdamW", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.ScheduleFreeAdamW(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="schedule_free_adamw",
    title="Schedule-Free AdamW",
    source="Defazio et al. (2024), The Road Less Scheduled",
    space={
        "lr": lr(2.5e-3, "the library's and the authors'", low=1e-4, high=3e-2),
        "beta1": beta1(0.9, "the authors': where between z and x gradients are taken"),
        "beta2": beta2(),
        "eps": eps(why="the authors': far below any gradient that matters"),
        "weight_decay": weight_decay(0.0, "the library's default: no decay unless asked for"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "eps": 0.001, "weight_decay": 0.1},
    family="averaged",
    build=build,
    code=code,
    state_copies=2,
    switches=True,
    lags=True,
    package="pytorch_optimizer",
    aliases=("schedule_free",),
)
