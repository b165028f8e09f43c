"""Step decay

What it does:
factor = gamma ^ (number of drops so far): lr is held, then multiplied by gamma after each `every` share of the
length. With the defaults (a third, 0.1) a training of 90 epochs runs 30 epochs each at the peak, a tenth and a
hundredth of it: the usual schedule for ResNets on ImageNet (He et al. themselves waited for the error to stop
falling).

When it suits:
Convolutional networks with SGD and momentum and a long training: the plateau at the high rate explores, and each drop
brings a visible fall of the loss within an epoch. Recipes of papers from before 2018 can be repeated with it exactly.

When it does not:
Two numbers have to be placed, and good places depend on the length: a drop too early freezes a network that was still
moving, one too late wastes steps. In equal comparisons cosine is as good or better without any of that. In short
trainings (a few epochs) the last third at 1 % of the peak hardly moves anything. A rung between two drops judges a
noisy state.

Source:
K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016.
torch.optim.lr_scheduler.StepLR.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def step_decay(step: int, length: int, h: Settings) -> float:
    size = max(1, round(h["every"] * length))
    return float(h["gamma"] ** (step // size))


ENTRY = Schedule(
    name="step",
    title="Step decay",
    source="He et al. (2016); torch.optim.lr_scheduler.StepLR",
    space={
        "warmup": WARMUP,
        "every": Hyperparameter(
            default=1 / 3,
            why="30 of 90 epochs, the usual ImageNet schedule and torchvision's",
            low=0.15,
            high=0.6,
            unit="share of the length",
            above_zero=True,
        ),
        "gamma": Hyperparameter(
            default=0.1, why="torch's default, and what He et al. divide by", low=0.05, high=0.5, log=True, above_zero=True
        ),
    },
    example={"warmup": 0.1, "every": 0.25, "gamma": 0.5},
    factor=step_decay,
    aliases=("steplr", "step_decay"),
)
