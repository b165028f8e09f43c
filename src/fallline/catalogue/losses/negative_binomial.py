"""Negative binomial likelihood

What it does:
Reads the output as a log-rate s, with m = exp(s), and takes the mean of (y + 1/a) * log(1 + a * m) - y * s, the negative
log-likelihood of a count with mean m and variance m + a * m^2, up to terms without weights. `dispersion` is a: at 0 it
would be Poisson, at 1 the standard deviation is about as large as the mean. The gradient is (m - y) / (1 + a * m): that
of Poisson, with large expected counts turned down.

When it suits:
Counts whose spread grows like their mean rather than its square root: visits, word counts, sales, reads in
sequencing. There Poisson is nearly decided by the busiest rows; here a rate of 1,000 that is off by a third pulls no
harder than one of 10 that is.

When it does not:
Negative targets are refused, and the target stays raw. Counts with a variance near the mean, where poisson_nll knows
better how sure it may be. A wrong `dispersion` leaves the mean right but weighs rows badly; it is one number for all
rows. A metric such as RMSE on raw counts wants the busiest rows to count most. The model handed back gives
exp(output), the expected count.

Source:
J. F. Lawless, Negative Binomial and Mixed Poisson Regression, Canadian Journal of Statistics 15 (1987); J. M. Hilbe,
Negative Binomial Regression (2011). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def negative_binomial(dispersion: float) -> LossFunction:
    import math

    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # log(1 + a m) = softplus(s + log a)
        spread = torch.nn.functional.softplus(output + math.log(dispersion))
        return ((target + 1.0 / dispersion) * spread - target * output).mean()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    return output.exp()


def suits(profile: Profile) -> float:
    # part of the variance is explained by the inputs, so 2 says nothing yet; from 20 times the mean on Poisson is hardly true
    return 0.9 * min(1.0, max(0.0, (profile.dispersion - 2.0) / 18.0)) if profile.integers else 0.0


def refuses(profile: Profile) -> str:
    if profile.negative_share > 0.0:
        return f"needs targets of zero or more, {profile.negative_share:.1%} are negative"
    return ""


ENTRY = Loss(
    name="negative_binomial",
    title="Negative binomial likelihood",
    source="Lawless (1987); Hilbe (2011), Negative Binomial Regression",
    space={
        "dispersion": Hyperparameter(
            default=0.5,
            why="between Poisson's 0 and 1, where the deviation is as large as the mean",
            low=0.05,
            high=2.0,
            log=True,
            above_zero=True,
        )
    },
    example={"dispersion": 2.0},
    tasks=("count", "regression"),
    reads=("real",),
    build=lambda h: negative_binomial(dispersion=h["dispersion"]),
    code=lambda h: f"negative_binomial(dispersion={h['dispersion']!r})",
    scale_free=False,
    link=link,
    link_code="output.exp()",
    suits=suits,
    refuses=refuses,
    aliases=("negbin", "nb"),
)
