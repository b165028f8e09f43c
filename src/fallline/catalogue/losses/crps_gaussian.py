"""Continuous ranked probability score of a Gaussian

What it does:
Reads two outputs for each target, a mean m and a raw number r, makes a standard deviation s = softplus(r) + floor, and with
w = (target - m) / s takes the mean of s * [w * (2 F(w) - 1) + 2 f(w) - 1 / sqrt(pi)], F and f being the normal
distribution and density. That is the area between the predicted distribution and the step at the target: in target
units, and equal to the absolute error where s is 0.

When it suits:
Forecasts with an uncertainty (weather, energy, demand), for which it is the usual score. Two outputs a target and noise
that differs from row to row; outliers and wrong early variances, since the gradient on m is at most 1 in size where the
likelihood's is the error over the variance.

When it does not:
A model with one output a target: it is no candidate there. Noise with two peaks or a long tail on one side: it is still
a Gaussian, only fitted more gently. The likelihood learns faster where the Gaussian is true. The model handed back gives
the mean half of its outputs.

Source:
T. Gneiting, A. E. Raftery, A. H. Westveld and T. Goldman, Calibrated Probabilistic Forecasting Using Ensemble Model
Output Statistics and Minimum CRPS Estimation, Monthly Weather Review 133 (2005), equation 5. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def crps_gaussian(floor: float) -> LossFunction:
    import math

    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        mean, raw = output.chunk(2, dim=-1)
        deviation = torch.nn.functional.softplus(raw.reshape(target.shape)) + floor
        w = (target - mean.reshape(target.shape)) / deviation
        density = torch.exp(-0.5 * w**2) / math.sqrt(2.0 * math.pi)
        within = 2.0 * torch.special.ndtr(w) - 1.0
        return torch.mean(deviation * (w * within + 2.0 * density - 1.0 / math.sqrt(math.pi)))

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    return output.chunk(2, dim=-1)[0]


def suits(profile: Profile) -> float:
    # where outliers would drive the variances of a likelihood it is the better of the two
    return 0.8


ENTRY = Loss(
    name="crps_gaussian",
    title="Continuous ranked probability score of a Gaussian",
    source="Gneiting et al. (2005), equation 5",
    space={
        "floor": Hyperparameter(
            default=1e-3,
            why="the root of torch's floor under the variance of a Gaussian",
            low=1e-4,
            high=0.1,
            log=True,
            unit="target units",
            above_zero=True,
        )
    },
    example={"floor": 0.1},
    tasks=("regression",),
    reads=("real",),
    build=lambda h: crps_gaussian(floor=h["floor"]),
    code=lambda h: f"crps_gaussian(floor={h['floor']!r})",
    width=2,
    link=link,
    link_code="output.chunk(2, dim=-1)[0]",
    suits=suits,
    aliases=("crps",),
)
