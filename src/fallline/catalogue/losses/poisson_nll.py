"""Poisson negative log-likelihood

What it does:
Reads the model's output as a log-rate s, so that the expected count is exp(s), and takes the mean of exp(s) - y * s,
the negative log-likelihood of a Poisson count y up to a term without weights. The gradient is exp(s) - y: the plain
error of the count. The rate can never be negative, effects multiply (a weekend that adds 0.7 to s doubles the count),
and a large count may be off by more than a small one, since a Poisson variance equals its mean.

When it suits:
Counts and other non-negative amounts with many small values and a long right tail: rentals an hour, claims, clicks.
The metric is Poisson deviance, or MAE or RMSE on counts whose spread grows with their level. Its minimiser is the
conditional mean even when the counts are not Poisson at all (only non-negative), so it is a safe choice.

When it does not:
Negative targets are refused, and a standardised target no longer is a count: the target stays raw. A variance far
above the mean (dispersion 10 and more) keeps the mean right but lets busy hours dominate. Large counts make exp(s)
steep: from a start at s = 0 a mean count of 5,000 means gradients of 5,000, so start the last bias at log(mean) or
clip. The model handed back gives exp(output), the expected count, never the log-rate.

Source:
J. A. Nelder and R. W. M. Wedderburn, Generalized Linear Models (1972); C. Gourieroux, A. Monfort and A. Trognon
(1984) for counts that are not Poisson. torch.nn.PoissonNLLLoss(log_input=True).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings

if TYPE_CHECKING:
    import torch


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.PoissonNLLLoss(log_input=True)


def link(output: torch.Tensor) -> torch.Tensor:
    return output.exp()


def suits(profile: Profile) -> float:
    # whole non-negative numbers whose variance grows with the mean are what it models; a skewed amount profits from the log scale too
    return 1.0 if profile.integers else 0.5 * min(1.0, max(0.0, profile.target_skew / 2.0))


def refuses(profile: Profile) -> str:
    if profile.negative_share > 0.0:
        return f"needs targets of zero or more, {profile.negative_share:.1%} are negative"
    return ""


ENTRY = Loss(
    name="poisson_nll",
    title="Poisson negative log-likelihood",
    source="Nelder and Wedderburn (1972); torch.nn.PoissonNLLLoss",
    tasks=("count", "regression"),
    reads=("real",),
    build=build,
    code=lambda h: "torch.nn.PoissonNLLLoss(log_input=True)",
    stock="torch.nn.PoissonNLLLoss",
    plain_for=("count",),
    scale_free=False,
    link=link,
    link_code="output.exp()",
    suits=suits,
    metrics=("poisson_deviance",),
    refuses=refuses,
    aliases=("poisson",),
)
