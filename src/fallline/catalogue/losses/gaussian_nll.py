"""Gaussian negative log-likelihood

What it does:
Reads two outputs for each target, a mean m and a raw number r, makes a variance v = softplus(r) + floor of the
second, and takes the mean of [log v + (target - m)^2 / v] / 2. So the model says how sure it is for each example, and
an example that it calls noisy counts less: the gradient on m is (m - target) / v.

When it suits:
The noise differs from row to row and you can afford two outputs (last layer of width 2k: k means, then k raw
variances): prices whose spread grows with size, sensors of different quality. With the right variances it is weighted
least squares, which needs fewer rows than MSE for the same precision; and it hands out an uncertainty besides.

When it does not:
Early in training it can call hard regions noisy and then stop learning them, since their gradient is divided by a
large v (Seitzer et al. 2022): if valid RMSE is clearly worse than under MSE, that is why. One target that is fitted
exactly sends v to the floor and the loss towards minus infinity: raise the floor, clip, or decay. Heavy tails make v
jump. A metric that reads only the mean gains little when the noise is even. The model handed back gives the mean half
of its outputs.

Source:
D. A. Nix and A. S. Weigend, Estimating the Mean and Variance of the Target Probability Distribution, ICNN 1994.
torch.nn.GaussianNLLLoss, which takes the variance as a third argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def gaussian_nll(floor: float) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean, raw = output.chunk(2, dim=-1)
        variance = torch.nn.functional.softplus(raw.reshape(target.shape)) + floor
        return 0.5 * (variance.log() + (mean.reshape(target.shape) - target) ** 2 / variance).mean()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    return output.chunk(2, dim=-1)[0]


def suits(profile: Profile) -> float:
    # a model with two outputs per target was built for it, unless outliers would drive the variances
    return 1.0 if profile.outlier_share < 0.01 else 0.5


ENTRY = Loss(
    name="gaussian_nll",
    title="Gaussian negative log-likelihood",
    source="Nix and Weigend (1994); torch.nn.GaussianNLLLoss",
    space={
        "floor": Hyperparameter(
            default=1e-6,
            why="torch's own floor under the variance; on a standardised target a standard deviation of 0.001",
            low=1e-6,
            high=1e-2,
            log=True,
            unit="target units squared",
            above_zero=True,
        )
    },
    example={"floor": 0.1},
    tasks=("regression",),
    reads=("real",),
    build=lambda h: gaussian_nll(floor=h["floor"]),
    code=lambda h: f"gaussian_nll(floor={h['floor']!r})",
    plain_for=("regression",),
    width=2,
    link=link,
    link_code="output.chunk(2, dim=-1)[0]",
    suits=suits,
    metrics=("rmse", "mse", "r2"),
    aliases=("gaussiannll", "gaussian"),
)
