"""Smooth L1 loss

What it does:
With e = output - target: e^2 / (2 * beta) while |e| < beta, and |e| - beta / 2 beyond. It is Huber's loss divided by
its delta: the same shape and the same minimiser, but the gradient of a far example is 1 whatever beta is, and the
curvature near zero is 1 / beta. As beta goes to 0 it becomes L1. Like Huber's delta, beta is declared in multiples of
the target's MAD and written into a recipe in the target's units.

When it suits:
Where Huber suits, and you want to try several beta without touching the learning rate: gradients stay within -1 and
1. Box regression in detectors (Fast R-CNN, beta 1; Mask R-CNN code, 1/9) is where it is at home. The metric is MAE,
and L1 itself rattles at the end of training.

When it does not:
A small beta makes the quadratic bowl steep: SGD with lr above 2 * beta / (squared size of the features) bounces
across it just as with L1. As with Huber, if far examples are real and the metric squares errors, the fit is drawn to
the centre. On well-scaled targets without outliers it gains nothing over MSE.

Source:
R. Girshick, Fast R-CNN, ICCV 2015, equation 3. torch.nn.SmoothL1Loss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.SmoothL1Loss(beta=h["beta"])


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    return {**h, "beta": float(h["beta"] * profile.target_mad)}


def suits(profile: Profile) -> float:
    # as for Huber, a little less: of two losses of one shape the better known one goes first
    return 0.9 * min(1.0, max(0.0, profile.excess_kurtosis / 3.0, profile.outlier_share / 0.005))


ENTRY = Loss(
    name="smooth_l1",
    kin="huber",
    title="Smooth L1 loss",
    source="Girshick (2015), Fast R-CNN; torch.nn.SmoothL1Loss",
    space={
        "beta": Hyperparameter(
            default=1.0,
            why="torch's default, here in units of the target's MAD",
            low=0.05,
            high=2.0,
            log=True,
            unit="target MAD",
            above_zero=True,
        )
    },
    example={"beta": 0.4},
    tasks=("regression", "count"),
    reads=("real",),
    build=build,
    code=lambda h: f"torch.nn.SmoothL1Loss(beta={h['beta']!r})",
    stock="torch.nn.SmoothL1Loss",
    suits=suits,
    metrics=("mae",),
    settle=settle,
    aliases=("smoothl1", "smooth_l1_loss"),
)
