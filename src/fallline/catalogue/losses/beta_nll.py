"""Beta-NLL

What it does:
The Gaussian negative log-likelihood of gaussian_nll, each example multiplied by its own variance to the power beta, which
counts as a constant in the gradient. So the gradient on the mean is (m - target) / v^(1 - beta): at beta = 0 it is
gaussian_nll, at beta = 1 the mean is fitted as by MSE while the variance is still learned.

When it suits:
Two outputs a target, noise that differs from row to row, and gaussian_nll leaves the mean underfitted: regions that it
called noisy early stop being learned there, since their gradient is divided by a large v. At beta = 0.5 the error is
divided by the standard deviation only. The metric is RMSE or MAE, and an uncertainty is wanted beside it.

When it does not:
A metric of the whole distribution on rows of very uneven noise, where the full likelihood weighs better. Its value is no
likelihood and falls and rises with the variances, so it cannot be read as progress. Heavy tails: errors are squared as
ever. The model handed back gives the mean half of its outputs.

Source:
M. Seitzer, A. Tavakoli, D. Antic and G. Martius, On the Pitfalls of Heteroscedastic Uncertainty Estimation with
Probabilistic Neural Networks, ICLR 2022. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def beta_nll(beta: float, floor: float) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean, raw = output.chunk(2, dim=-1)
        variance = torch.nn.functional.softplus(raw.reshape(target.shape)) + floor
        each = 0.5 * (variance.log() + (mean.reshape(target.shape) - target) ** 2 / variance)
        return (variance.detach() ** beta * each).mean()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    return output.chunk(2, dim=-1)[0]


def suits(profile: Profile) -> float:
    # as gaussian_nll, a little less: the plain likelihood is the one to beat
    return 0.9 if profile.outlier_share < 0.01 else 0.4


ENTRY = Loss(
    name="beta_nll",
    title="Beta-NLL",
    source="Seitzer et al. (2022)",
    space={
        "beta": Hyperparameter(default=0.5, why="the paper's advice", low=0.1, high=1.0),
        "floor": Hyperparameter(
            default=1e-6,
            why="torch's floor under the variance of a Gaussian",
            low=1e-6,
            high=1e-2,
            log=True,
            unit="target units squared",
            above_zero=True,
        ),
    },
    example={"beta": 1.0, "floor": 0.1},
    tasks=("regression",),
    reads=("real",),
    build=lambda h: beta_nll(beta=h["beta"], floor=h["floor"]),
    code=lambda h: f"beta_nll(beta={h['beta']!r}, floor={h['floor']!r})",
    width=2,
    link=link,
    link_code="output.chunk(2, dim=-1)[0]",
    held_constant=True,
    suits=suits,
    metrics=("rmse", "mse", "r2"),
    aliases=("betanll",),
)
