"""RMSprop

What it does:
Keeps a running average v of every weight's squared gradient (decay alpha) and steps
w <- w - lr * g / (sqrt(v) + eps). With `momentum` a velocity of these scaled gradients is kept too; with `centered`
the average gradient's square is taken off v, so that v is a variance. Unlike Adam the averages are not corrected for
their start at zero: the first step is 1 / sqrt(1 - alpha), ten times lr at alpha = 0.99. With l2, l2 * w joins the
gradient first.

When it suits:
Recurrent networks, for which it was made, and reinforcement learning, where gradients drift and momentum misleads.
The recipe of EfficientNet and MnasNet (lr decayed, momentum 0.9, eps 1e-3). One float a weight without momentum.

When it does not:
As a first choice today: Adam is RMSprop with momentum and a corrected start, and mostly needs less tuning. Its large
first steps want a warm-up or a smaller lr; torch's default of 0.01 is ten times Adam's and often diverges. Beware
when porting from TensorFlow, where eps is inside the square root and alpha is 0.9.

Source:
G. Hinton, Neural Networks for Machine Learning, lecture 6e (2012); A. Graves (2013) for the centered form.
torch.optim.RMSprop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import eps, fastest, keywords, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.RMSprop
    plain = {name: h[name] for name in ("lr", "alpha", "eps", "momentum", "centered")}
    return cls(torch_groups(groups, h["l2"]), **plain, **fastest(cls, groups))


def keeps(h: Settings) -> tuple[str, ...]:
    return ("square_avg", *(["momentum_buffer"] if h["momentum"] else []), *(["grad_avg"] if h["centered"] else []))


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    gradients = gradients.addcmul(h["l2"], weights)
    square = state["square_avg"].lerp_(gradients.square(), 1 - h["alpha"])
    if "grad_avg" in state:
        square = square - state["grad_avg"].lerp_(gradients, 1 - h["alpha"]).square()
    scaled = gradients / square.sqrt().add_(h["eps"])
    if "momentum_buffer" in state:
        scaled = state["momentum_buffer"].mul_(h["momentum"]).add_(scaled)
    weights.sub_(h["lr"] * scaled)


ENTRY = Optimizer(
    name="rmsprop",
    title="RMSprop",
    source="Hinton (2012), lecture 6e; torch.optim.RMSprop",
    space={
        "lr": lr(1e-2, "torch's default; the lecture used 0.001", low=1e-5, high=1e-2),
        "alpha": Hyperparameter(
            default=0.99, why="torch's default: squares are averaged over about 100 steps", low=0.9, high=0.999, below=1.0
        ),
        "eps": eps(),
        "momentum": Hyperparameter(default=0.0, why="torch's default: Hinton's form has none", low=0.0, high=0.95, below=1.0),
        "centered": Hyperparameter(
            default=False, why="torch's default: the variance form costs one more float a weight", choices=(False, True)
        ),
        "l2": l2(),
    },
    example={"lr": 0.003, "alpha": 0.9, "eps": 1e-3, "momentum": 0.9, "centered": True, "l2": 0.1},
    family="adaptive",
    build=build,
    code=lambda h, fast: f"torch.optim.RMSprop(groups, {keywords(h, 'l2')}{fast})",
    state_copies=1,
    decay="l2",
    stock="torch.optim.RMSprop",
    lanes=LaneRule(update=update, keeps=keeps, alike=("centered",)),
)
