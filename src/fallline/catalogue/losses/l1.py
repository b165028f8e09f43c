"""Mean absolute error (L1)

What it does:
The mean of |output - target| over all elements. Its minimiser is the conditional median. The gradient of every
example is +1/n or -1/n whatever the size of its error, so no example can shout louder than another; at an error of
exactly zero torch takes 0.

When it suits:
The metric is MAE, which this is. The target has heavy tails or a few gross errors: the median ignores them until they
are half of the data. Under Laplace noise it is the maximum-likelihood loss, and there the median needs half as many
examples as the mean for the same precision.

When it does not:
The gradient does not shrink near the optimum, so with a constant learning rate the weights keep rattling at a
distance of about lr; let the schedule fall to zero, or take Huber, which is smooth there. With Gaussian noise it
wastes data: 64 examples with the mean are worth 100 with the median (relative efficiency 2/pi). For a count or an
amount that is zero in most rows the median is zero, and a constant zero is a perfect fit.

Source:
P. S. Laplace, Memoire sur la probabilite des causes par les evenements (1774). torch.nn.L1Loss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.L1Loss()


def suits(profile: Profile) -> float:
    if profile.zero_share > 0.5:  # the median is zero: a constant would win
        return 0.0
    # Laplace noise (excess kurtosis 3) is where the median overtakes the mean; 2 % gross outliers are many
    return min(1.0, max(0.0, (profile.excess_kurtosis - 1.0) / 4.0, profile.outlier_share / 0.02))


ENTRY = Loss(
    name="l1",
    title="Mean absolute error (L1)",
    source="torch.nn.L1Loss; Laplace (1774)",
    tasks=("regression", "count"),
    reads=("real",),
    build=build,
    code=lambda h: "torch.nn.L1Loss()",
    stock="torch.nn.L1Loss",
    suits=suits,
    metrics=("mae",),
    ahead_for=("mae",),
    aliases=("mae_loss", "l1_loss", "absolute_error"),
)
