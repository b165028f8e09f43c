"""Multi-step decay

What it does:
lr is held, and multiplied by gamma at each of the `milestones`, which are shares of the length: with the defaults it falls to
a tenth at a half and to a hundredth at three quarters. Unlike step, the drops need not be evenly spaced.

When it suits:
Repeating published results: ResNets on CIFAR (drops at 0.5 and 0.75), detectors (Detectron's 1x schedule: 0.67 and 0.89),
everything whose code says MultiStepLR. Trainings in which the first phase should be long: the drops can all come late.

When it does not:
Two or three more numbers to place, and good places depend on model and length; cosine and linear need none and are as good
in equal comparisons. A rung between two drops judges a noisy state. A drop in the first third freezes a network that was
still moving.

Source:
K. He, X. Zhang, S. Ren and J. Sun, Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2.
torch.optim.lr_scheduler.MultiStepLR.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def multi_step(step: int, length: int, h: Settings) -> float:
    drops = sum(step >= max(1, round(share * length)) for share in h["milestones"])
    return float(h["gamma"] ** drops)


ENTRY = Schedule(
    name="multi_step",
    title="Multi-step decay",
    source="He et al. (2016), section 4.2; torch.optim.lr_scheduler.MultiStepLR",
    space={
        "warmup": WARMUP,
        "milestones": Hyperparameter(
            default=[0.5, 0.75],
            why="32,000 and 48,000 of 64,000 steps, as He et al. on CIFAR",
            unit="shares of the length",
            above_zero=True,
            below=1.0,
        ),
        "gamma": Hyperparameter(
            default=0.1, why="torch's default, and what He et al. divide by", low=0.05, high=0.5, log=True, above_zero=True
        ),
    },
    example={"warmup": 0.1, "milestones": [0.3, 0.6, 0.9], "gamma": 0.5},
    factor=multi_step,
    aliases=("multisteplr", "milestones"),
)
