"""Exponential decay

What it does:
factor = final ^ (step / length): lr loses the same share at every step, and ends at `final` of the peak. With the
default of 0.01 that is half of it every 15 % of the length. torch's gamma is final ^ (1 / length).

When it suits:
Losses that gain about as much per factor of ten in lr wherever you stand: physics-informed networks, some
regressions, policy gradients. Trainings that are read off at any time, since there is no drop to wait for.

When it does not:
It leaves the peak at once: after a quarter of the length lr is at 32 %, after half at 10 %, where cosine still has 85
% and 50 %. The peak therefore has to be chosen higher, up to where it barely holds, or the training is short of large
steps. For most networks cosine, linear or wsd reach a lower loss in the same steps.

Source:
torch.optim.lr_scheduler.ExponentialLR; a common schedule of TensorFlow's early image models (Inception: 0.94 every
two epochs).
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def exponential(step: int, length: int, h: Settings) -> float:
    return float(h["final"] ** min(step / max(length, 1), 1.0))


ENTRY = Schedule(
    name="exponential",
    title="Exponential decay",
    source="torch.optim.lr_scheduler.ExponentialLR; Szegedy et al. (2016)",
    space={
        "warmup": WARMUP,
        "final": Hyperparameter(
            default=0.01,
            why="two decades, as a step schedule of three equal parts has",
            low=1e-4,
            high=0.3,
            log=True,
            unit="share of the peak",
            above_zero=True,
        ),
    },
    example={"warmup": 0.1, "final": 0.2},
    factor=exponential,
    aliases=("exponentiallr", "exp"),
)
