"""Cautious AdamW

What it does:
AdamW, but where a weight's momentum and its newest gradient have different signs the weight waits for a step; the others go
further, by the share that waits. So no weight is carried uphill by its momentum. The same two floats a weight, the same
decoupled weight_decay.

When it suits:
Wherever AdamW does, with its settings: the authors report language models that need up to 1.5 times fewer steps, and no
case that got worse by it. One line of change, nothing to tune.

When it does not:
Small batches, in which signs disagree by chance: half of the weights then wait, and which half is noise. The stretched
steps make the effective lr up to twice as large; where AdamW was at its limit, lower lr. Gains are smaller than
those of a better schedule, so believe them only with an interval.

Source:
K. Liang, L. Chen, B. Liu and Q. Liu, Cautious Optimizers: Improving Training with One Line of Code (2024),
arXiv:2411.16085. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    from fallline.catalogue.optimizers._cautious import CautiousAdamW

    return CautiousAdamW(torch_groups(groups, h["weight_decay"]), lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"])


ENTRY = Optimizer(
    name="cautious_adamw",
    title="Cautious AdamW",
    source="Liang et al. (2024), arXiv:2411.16085",
    space={
        "lr": lr(1e-3, "AdamW's default, as the authors keep it", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "weight_decay": weight_decay(0.01, "AdamW's default, as the authors keep it"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=lambda h, fast: f"CautiousAdamW(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r})",
    state_copies=2,
    carries="fallline.catalogue.optimizers._cautious",
    aliases=("c_adamw", "cautious"),
)
