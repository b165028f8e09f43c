"""Tweedie loss

What it does:
Reads the output as a log-mean s, with m = exp(s), and takes the mean of m^(2-p) / (2-p) - y * m^(1-p) / (1-p): the negative
log-likelihood, up to terms without weights, of a Tweedie variable, whose variance is proportional to m^p. For p
between 1 and 2 that is a Poisson number of gamma amounts: exactly zero with some probability, else positive and
skewed. p near 1 is Poisson, p = 2 would be gamma. The gradient is m^(1-p) * (m - y), the error over m^(p-1).

When it suits:
Amounts that are zero in many rows and have a long tail in the others: rain, burnt area, insurance claims, spending a
customer. One model then covers both whether and how much. The minimiser is the conditional mean for every p, so the
choice of p only says how much large amounts may be off.

When it does not:
Negative targets are refused, and the target stays raw. The metric is MAE: where most rows are zero the median is zero,
and the mean that this loss finds costs more. Whole counts, which poisson_nll and negative_binomial model as such. Raw
amounts far from 1 make a start at s = 0 steep: start the last bias at log(mean) or clip. The model handed back gives
exp(output), the expected amount.

Source:
M. C. K. Tweedie (1984); B. Jorgensen, Exponential Dispersion Models, Journal of the Royal Statistical Society B 49
(1987). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def tweedie_loss(power: float) -> LossFunction:
    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # powers of the mean are exponentials of the log-mean, so none is taken of a number that underflowed
        expected = ((2.0 - power) * output).exp() / (2.0 - power)
        observed = target * ((1.0 - power) * output).exp() / (1.0 - power)
        return (expected - observed).mean()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    return output.exp()


def suits(profile: Profile) -> float:
    # made for many exact zeros beside a skewed rest; whole numbers are counts, which Poisson serves
    return 0.0 if profile.integers else min(1.0, max(0.0, (profile.zero_share - 0.05) / 0.25))


def refuses(profile: Profile) -> str:
    if profile.negative_share > 0.0:
        return f"needs targets of zero or more, {profile.negative_share:.1%} are negative"
    return ""


ENTRY = Loss(
    name="tweedie",
    title="Tweedie loss",
    source="Tweedie (1984); Jorgensen (1987), Exponential Dispersion Models",
    space={
        "power": Hyperparameter(
            default=1.5, why="the middle, and the default of gradient boosting libraries", low=1.1, high=1.9, above=1.0, below=2.0
        )
    },
    example={"power": 1.2},
    tasks=("regression", "count"),
    reads=("real",),
    build=lambda h: tweedie_loss(power=h["power"]),
    code=lambda h: f"tweedie_loss(power={h['power']!r})",
    scale_free=False,
    link=link,
    link_code="output.exp()",
    suits=suits,
    refuses=refuses,
    aliases=("tweedie_loss",),
)
