"""Huber loss

What it does:
With e = output - target: e^2 / 2 while |e| <= delta, and delta * (|e| - delta / 2) beyond. So it is the squared error
for ordinary examples and the absolute error for far ones; the gradient is e, cut at plus and minus delta. In a recipe
delta is written in the target's units; as a choice it is declared in multiples of the target's MAD (median absolute
deviation times 1.4826, a standard deviation that outliers cannot move), so that 1.0 means the same for prices and for
temperatures.

When it suits:
Regression with some outliers or heavy tails, judged by MAE or RMSE, when you cannot tell good rows from bad ones.
With delta = 1.345 standard deviations of the noise it keeps 95 % of the efficiency of the mean under Gaussian noise,
and still a wild example pulls no harder than one that is off by delta. Unlike L1 it is smooth at zero, so training
settles.

When it does not:
If every far example is real and the metric squares it (RMSE on claims or demand peaks), cutting their pull biases the
fit towards the centre. A delta far above the errors is plain MSE at half the scale, one far below them is L1 times
delta with gradients so small that the learning rate has to grow by 1/delta; the unit of MAD keeps you off both ends.

Source:
P. J. Huber, Robust Estimation of a Location Parameter, Annals of Mathematical Statistics 35 (1964).
torch.nn.HuberLoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.HuberLoss(delta=h["delta"])


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    # errors of a useful model are smaller than the target's spread, so MAD of the target is an upper scale for them
    return {**h, "delta": float(h["delta"] * profile.target_mad)}


def suits(profile: Profile) -> float:
    # from excess kurtosis 1 the mean loses to robust estimates; 0.5 % of targets beyond 5 robust deviations are outliers by any rule
    return min(1.0, max(0.0, profile.excess_kurtosis / 3.0, profile.outlier_share / 0.005))


ENTRY = Loss(
    name="huber",
    title="Huber loss",
    source="Huber (1964), Robust Estimation of a Location Parameter; torch.nn.HuberLoss",
    space={
        "delta": Hyperparameter(
            default=1.0,
            why="torch's default, here in units of the target's MAD; Huber's own is 1.345 deviations of the noise",
            low=0.05,
            high=2.0,
            log=True,
            unit="target MAD",
            above_zero=True,
        )
    },
    example={"delta": 0.4},
    tasks=("regression", "count"),
    reads=("real",),
    build=build,
    code=lambda h: f"torch.nn.HuberLoss(delta={h['delta']!r})",
    stock="torch.nn.HuberLoss",
    suits=suits,
    metrics=("mae",),
    settle=settle,
    aliases=("huber_loss",),
)
