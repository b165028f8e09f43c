"""Adam

What it does:
Keeps two running averages of every weight's gradient g: m of g (decay beta1) and v of g^2 (decay beta2), both
corrected for their start at zero, and steps w <- w - lr * m / (sqrt(v) + eps). The ratio is about the gradient's
signal-to-noise ratio, at most around 1, so a step moves a weight by at most about lr whatever the scale of the loss:
multiply the loss by 1,000 and nothing changes. With l2, l2 * w joins g before the averages (coupled decay).

When it suits:
Almost anything at the first attempt: sparse features, embeddings, attention, recurrent networks, losses of odd scale.
It is forgiving in lr: between 3e-4 and 3e-3 most networks train. The first thousand steps are usually the fastest of
all methods, which is why a race judged too early always loves it.

When it does not:
With l2, weights that see large gradients are decayed less, since the decay is divided by sqrt(v) as well; use AdamW
when you want decay. On image classifiers with batch norm, SGD with momentum and a long schedule often ends 0.5 to 2
points of accuracy higher. It stores two floats a weight. Where gradients are almost zero (late in training, or scaled
by 1e-6) eps takes over and the step shrinks. Early lr looks best 0.4 to 1.2 decades too high: let the schedule fall.

Source:
D. P. Kingma and J. Ba, Adam: A Method for Stochastic Optimization, ICLR 2015. torch.optim.Adam.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline.catalogue import LaneRule, Optimizer, Settings
from fallline.catalogue.optimizers import adam_step, beta1, beta2, eps, fastest, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    import torch

    cls = torch.optim.Adam
    return cls(torch_groups(groups, h["l2"]), lr=h["lr"], betas=(h["beta1"], h["beta2"]), eps=h["eps"], **fastest(cls, groups))


def code(h: Settings, fast: str) -> str:
    return f"torch.optim.Adam(groups, lr={h['lr']!r}, betas=({h['beta1']!r}, {h['beta2']!r}), eps={h['eps']!r}{fast})"


def update(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    adam_step(weights, gradients.addcmul(h["l2"], weights), state, step, h)


ENTRY = Optimizer(
    name="adam",
    title="Adam",
    source="Kingma and Ba (2015); torch.optim.Adam",
    space={
        "lr": lr(1e-3, "torch's default and the paper's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "eps": eps(),
        "l2": l2(),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "l2": 0.1},
    family="adaptive",
    build=build,
    code=code,
    state_copies=2,
    decay="l2",
    stock="torch.optim.Adam",
    lanes=LaneRule(update=update, keeps=lambda h: ("exp_avg", "exp_avg_sq")),
)
