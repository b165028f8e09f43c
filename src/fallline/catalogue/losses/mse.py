"""Mean squared error

What it does:
The mean of (output - target)^2 over all elements. Its minimiser is the conditional mean of the target, and with
constant Gaussian noise it is the maximum-likelihood loss. The gradient is 2 * (output - target) / n: proportional to
the error, so an example that is off by 10 pulls a hundred times harder on the loss than one that is off by 1, and ten
times harder on the weights.

When it suits:
The metric is RMSE, MSE or R2, which it optimises directly, and the noise has light tails (excess kurtosis below about
1). The target should be standardised: with prices around 200,000 the first gradients are so large that a sensible
learning rate cannot be shared with the rest of the network. Doors do this for you.

When it does not:
One target in a thousand that is wrong by a factor of 100 decides the fit: its squared error outweighs ten thousand
ordinary ones. Use Huber or L1 there. A metric such as MAE asks for the median, which for a skewed target is not the
mean that this loss finds (for a log-normal with sigma 1 the mean is 65 % above the median). As a loss for
probabilities after a sigmoid it saturates: a confident wrong answer has almost no gradient; use a cross-entropy.

Source:
C. F. Gauss, Theoria Motus (1809), section 179, for the link to Gaussian noise. torch.nn.MSELoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.MSELoss()


def suits(profile: Profile) -> float:
    # the mean is the efficient estimate while tails are about Gaussian (excess kurtosis 0); Laplace noise has 3
    return max(0.0, min(1.0, 1.0 - profile.excess_kurtosis / 3.0)) * (0.0 if profile.outlier_share > 0.01 else 1.0)


ENTRY = Loss(
    name="mse",
    title="Mean squared error",
    source="torch.nn.MSELoss; Gauss (1809)",
    tasks=("regression", "count"),
    reads=("real",),
    build=build,
    code=lambda h: "torch.nn.MSELoss()",
    stock="torch.nn.MSELoss",
    plain_for=("regression",),
    suits=suits,
    metrics=("rmse", "mse", "r2"),
    aliases=("l2_loss", "squared_error", "mse_loss"),
)
