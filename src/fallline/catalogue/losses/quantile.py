"""Quantile (pinball) loss

What it does:
With e = target - output: q * e where the output is too low, (q - 1) * e where it is too high, averaged. Its minimiser
is the q-quantile of the target: at q = 0.9 an output that is too low by 1 costs nine times one that is too high by 1,
so nine targets out of ten end below the output. At q = 0.5 it is L1 times one half.

When it suits:
Under- and over-estimates cost differently (stock, capacity, delivery times), or you want an interval: two models at
0.05 and 0.95 hold 90 % of the targets between them. It asks nothing of the noise: skewed, heavy-tailed and uneven
spread are all fine. Judge it by the same loss as a callable metric.

When it does not:
Extreme quantiles need data: at q = 0.99 only every hundredth example pushes upwards, and below a few thousand rows
the answer is mostly noise. Models trained one quantile at a time may cross. At the default q = 0.5 take L1, or Huber
for a smooth minimum: the kink at zero keeps the weights rattling unless lr falls to zero. For RMSE, which wants the
mean, it is the wrong loss whenever the target is skewed.

Source:
R. Koenker and G. Bassett, Regression Quantiles, Econometrica 46 (1978). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def quantile_loss(q: float) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        short = target - output  # how far the output is too low
        return torch.maximum(q * short, (q - 1.0) * short).mean()

    return loss


def suits(profile: Profile) -> float:
    # at its default it is L1 halved, so the profile speaks for it where it speaks for the median; a metric at another q decides by itself
    return 0.5 * min(1.0, max(0.0, (profile.excess_kurtosis - 1.0) / 4.0))


ENTRY = Loss(
    name="quantile",
    kin="l1",
    title="Quantile (pinball) loss",
    source="Koenker and Bassett (1978), Regression Quantiles",
    space={"q": Hyperparameter(default=0.5, why="the median, the only quantile that favours neither side", low=0.05, high=0.95)},
    example={"q": 0.9},
    tasks=("regression", "count"),
    reads=("real",),
    build=lambda h: quantile_loss(q=h["q"]),
    code=lambda h: f"quantile_loss(q={h['q']!r})",
    suits=suits,
    # no metric of its own yet: at q = 0.5 it serves MAE just as L1 does, and two of one shape would crowd a race
    aliases=("pinball", "quantile_loss"),
)
