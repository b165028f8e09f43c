"""Log-cosh loss

What it does:
With e = output - target: scale^2 * log(cosh(e / scale)). For small errors that is e^2 / 2, for large ones
scale * |e| - 0.69 * scale^2: Huber's loss with all its derivatives, since the gradient scale * tanh(e / scale) bends
where Huber's has a corner. Like Huber's delta, scale is declared in multiples of the target's MAD.

When it suits:
Where Huber suits: outliers and heavy tails that must not decide the fit, with a smooth minimum. LBFGS and other
second-order rules, which a corner in the gradient confuses, like it better than Huber.

When it does not:
Next to Huber it is no other loss: two candidates of one shape tell a race little. Light tails, where MSE wastes
nothing. As with Huber, its minimiser lies between mean and median of a skewed target, which no metric asks for.
Far errors must not be skewed: those on one side only move the centre by up to their share.

Source:
P. J. Green, On Use of the EM Algorithm for Penalized Likelihood Estimation, Journal of the Royal Statistical Society B
52 (1990), for log cosh as a smooth absolute value. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value

if TYPE_CHECKING:
    import torch


def log_cosh(scale: float) -> LossFunction:
    import math

    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        e = (output - target) / scale
        return scale**2 * (torch.logaddexp(e, -e) - math.log(2.0)).mean()  # cosh itself overflows from 89 on

    return loss


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    return {**h, "scale": float(h["scale"] * profile.target_mad)}


def suits(profile: Profile) -> float:
    # as for Huber, a little less: of losses of one shape the better known one goes first
    return 0.8 * min(1.0, max(0.0, profile.excess_kurtosis / 3.0, profile.outlier_share / 0.005))


ENTRY = Loss(
    name="log_cosh",
    kin="huber",
    title="Log-cosh loss",
    source="Green (1990)",
    space={
        "scale": Hyperparameter(
            default=1.0,
            why="as Huber's delta: errors of a useful model are smaller than the target's spread",
            low=0.05,
            high=2.0,
            log=True,
            unit="target MAD",
            above_zero=True,
        )
    },
    example={"scale": 0.4},
    tasks=("regression", "count"),
    reads=("real",),
    build=lambda h: log_cosh(scale=h["scale"]),
    code=lambda h: f"log_cosh(scale={h['scale']!r})",
    suits=suits,
    settle=settle,
    aliases=("logcosh",),
)
