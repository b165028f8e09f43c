"""AdamW

What it does:
Adam's step, with decay taken off the weights directly: w <- w - lr * weight_decay * w - lr * m / (sqrt(v) + eps).
Since the decay does not pass through the division by sqrt(v), every weight shrinks by the same share each step: with
lr 1e-3 and weight_decay 0.01 that is 1e-5, a half-life of 69,000 steps; what the decay does therefore depends on
lr * weight_decay * steps.

When it suits:
The default of this library and of most modern work: transformers, embeddings with dense heads, fine-tuning, tables.
Decay and learning rate can be tuned nearly apart, which with Adam's l2 they cannot. Longer trainings and larger
models take 0.05 to 0.1; short ones (under 10,000 steps) hardly notice 0.01.

When it does not:
Two floats of state a weight; for very large models that is twice the weights again. Decay on biases and norm layers
does no good: Fallline keeps it off them, plain torch does not. On convolutional networks with batch norm compare with
SGD and momentum. beta2 = 0.999 remembers 1,000 steps; in trainings shorter than that, or with spiky losses, 0.95 to
0.99 reacts in time.

Source:
I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, ICLR 2019. torch.optim.AdamW.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import adam_step, beta1, beta2, eps, fastest, lr, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.AdamW
    return cls(torch_groups(groups, h["weight_decay"]), lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"], **fastest(cls, groups))


def code(h: Settings, fast: str) -> str:
    return f"torch.optim.AdamW(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r}{fast})"


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    weights.mul_(1 - h["lr"] * h["weight_decay"])
    adam_step(weights, gradients, state, step, h)


ENTRY = Optimizer(
    name="adamw",
    title="AdamW",
    source="Loshchilov and Hutter (2019); torch.optim.AdamW",
    space={
        "lr": lr(1e-3, "torch's default and Adam's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "weight_decay": weight_decay(0.01, "torch's default; decay of 1e-5 a step at the default lr"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    stock="torch.optim.AdamW",
    lanes=LaneRule(update=update, keeps=lambda h: ("exp_avg", "exp_avg_sq")),
)
