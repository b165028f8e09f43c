"""Polynomial decay

What it does:
factor = (1 - step / length) ^ power: from the peak to zero, in a straight line at power 1, slower at first and faster at the
end below 1, the reverse above. At power 0.9 lr is 54 % of the peak half way and 13 % with a tenth to go.

When it suits:
Segmentation: DeepLab, nnU-Net and most of their successors train with SGD, momentum and power 0.9, and their numbers are
best repeated with the same curve. Language models whose code says "polynomial" mostly mean power 1, the entry linear.

When it does not:
To be tried beside linear and cosine as if it were something else: at 0.9 it is within 0.04 of linear everywhere. Large
powers (3 and more) spend half of the training below an eighth of the peak. Its slope at the end is steepest below
power 1, so the last steps matter: a training that is cut short misses them.

Source:
L.-C. Chen et al., DeepLab, IEEE Transactions on Pattern Analysis and Machine Intelligence 40 (2018).
torch.optim.lr_scheduler.PolynomialLR.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def polynomial(step: int, length: int, h: Settings) -> float:
    return float((1.0 - min(step / max(length, 1), 1.0)) ** h["power"])


ENTRY = Schedule(
    name="polynomial",
    title="Polynomial decay",
    source="Chen et al. (2018), DeepLab; torch.optim.lr_scheduler.PolynomialLR",
    space={
        "warmup": WARMUP,
        "power": Hyperparameter(
            default=0.9, why="DeepLab's and nnU-Net's; torch's default of 1 is the entry linear", low=0.5, high=3.0, above_zero=True
        ),
    },
    example={"warmup": 0.1, "power": 2.0},
    factor=polynomial,
    aliases=("polynomiallr", "poly"),
)
