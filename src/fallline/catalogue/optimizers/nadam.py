"""NAdam

What it does:
Adam with Nesterov's look-ahead: the step uses a mixture of the averaged gradient and the newest one, so that a change
of direction acts one step earlier. Its weight grows along the way: beta1 is multiplied by
1 - 0.5 * 0.96^(t * momentum_decay), that is by about a half at the start and by 0.67 after 2,500 steps at the default
0.004. Decay is decoupled, as in AdamW.

When it suits:
Wherever AdamW does, at the same cost in memory. The lower momentum at the start makes it quick off the mark; in the
comparison of Choi et al. (2019), with every number tuned, it was never behind Adam. Recurrent networks were the
example of its paper.

When it does not:
As a second adaptive candidate in a short race: it is so near to AdamW that the difference rarely exceeds the spread
of seeds. It has no fused kernel in torch, so on small models a step takes longer than AdamW's. Its default lr of
0.002 is twice Adam's; do not copy an lr from one to the other without thinking.

Source:
T. Dozat, Incorporating Nesterov Momentum into Adam, ICLR workshop 2016.
torch.optim.NAdam(decoupled_weight_decay=True).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, fastest, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    return torch.optim.NAdam(
        torch_groups(groups, h["weight_decay"]),
        lr=h["lr"],
        betas=(h["beta1"], h["beta2"]),
        eps=h["eps"],
        momentum_decay=h["momentum_decay"],
        decoupled_weight_decay=True,
        **fastest(torch.optim.NAdam, groups),
    )


def code(h: Settings, fast: str) -> str:
    return (
        f"torch.optim.NAdam(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r}, "
        f"momentum_decay={h['momentum_decay']!r}, decoupled_weight_decay=True{fast})"
    )


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    weights.mul_(1 - h["lr"] * h["weight_decay"])
    mean = state["exp_avg"].lerp_(gradients, 1 - h["beta1"])
    square = state["exp_avg_sq"].lerp_(gradients.square(), 1 - h["beta2"])
    now, then = (h["beta1"] * (1 - 0.5 * 0.96 ** (at * h["momentum_decay"])) for at in (step, step + 1))
    product = state["mu_product"].mul_(now.float()).to(weights.dtype)  # torch multiplies in float32, and reads it as a number
    divisor = (square / (1 - h["beta2"] ** step)).sqrt_().add_(h["eps"])
    ahead = gradients * (h["lr"] * (1 - now) / (1 - product)) + mean * (h["lr"] * then / (1 - product * then))
    weights.sub_(ahead.div_(divisor))


ENTRY = Optimizer(
    name="nadam",
    title="NAdam",
    source="Dozat (2016); torch.optim.NAdam",
    space={
        "lr": lr(2e-3, "torch's default and the paper's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "momentum_decay": Hyperparameter(default=4e-3, why="torch's default and the paper's", low=1e-3, high=1e-1, log=True),
        "weight_decay": weight_decay(0.0, "torch's default: no decay unless asked for"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "momentum_decay": 0.5, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    stock="torch.optim.NAdam",
    lanes=LaneRule(update=update, keeps=lambda h: ("exp_avg", "exp_avg_sq"), scalars={"mu_product": 1.0}),
)
