"""RAdam (rectified Adam)

What it does:
Adam that knows how little its second moment is worth at the start. While the average v rests on too few gradients
(the first five steps at beta2 = 0.999) it takes plain momentum steps; after that it multiplies Adam's step by a
factor that grows from 0.03 at step 6 through 0.22 at step 100 and 0.65 at step 1,000 towards 1. That is a warm-up
whose length, about 2 / (1 - beta2) steps, nobody has to choose. Decay is decoupled.

When it suits:
Where Adam needs a warm-up (transformers, deep networks without norms, small batches) and you would rather not tune
one. It takes a wider range of lr than Adam without blowing up in the first hundred steps.

When it does not:
With a schedule that has a warm-up or a climb of its own (one cycle): the two multiply, and the first tenth of the
training is spent at almost no lr. In trainings of under 500 steps at beta2 = 0.999 the factor stays below one half:
lower beta2 or take AdamW. The first five steps are unscaled gradients: with a loss of huge scale they can already
diverge. It has no fused kernel in torch.

Source:
L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, ICLR 2020.
torch.optim.RAdam(decoupled_weight_decay=True).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, fastest, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    return torch.optim.RAdam(
        torch_groups(groups, h["weight_decay"]),
        lr=h["lr"],
        betas=(h["beta1"], h["beta2"]),
        eps=h["eps"],
        decoupled_weight_decay=True,
        **fastest(torch.optim.RAdam, groups),
    )


def code(h: Settings, fast: str) -> str:
    return (
        f"torch.optim.RAdam(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r}, "
        f"decoupled_weight_decay=True{fast})"
    )


ENTRY = Optimizer(
    name="radam",
    title="RAdam (rectified Adam)",
    source="Liu et al. (2020); torch.optim.RAdam",
    space={
        "lr": lr(1e-3, "torch's default and Adam's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "weight_decay": weight_decay(0.0, "torch's default: no decay unless asked for"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    stock="torch.optim.RAdam",
)
