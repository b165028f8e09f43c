"""Cyclical learning rate (triangular)

What it does:
lr climbs in a straight line from `low` of the peak to the peak and falls back, `cycles` times over the length. With
the defaults a training of 3,000 steps climbs for 500 steps, falls for 500, and does so three times. Half a cycle is
rounded to whole steps, as torch's step_size_up has to be.

When it suits:
Finding out how high lr may go (one long climb is a range test), and trainings that may be stopped at the end of any
cycle: each valley is a usable result, and averaging the valleys' weights gives a cheap ensemble (Snapshot Ensembles,
SWA). Smith advises half a cycle of 2 to 10 epochs, a peak just below where the loss gets worse, and `low` at a
quarter to a third of it.

When it does not:
As a way to the best final result in a known number of steps: it ends at `low` of the peak, not at zero, and every
climb undoes part of the settling. One cycle, its successor, and cosine end lower. Adam's second moment lags behind a
fast cycle. A rung judges it at an arbitrary point of a cycle, high or low.

Source:
L. N. Smith, Cyclical Learning Rates for Training Neural Networks, WACV 2017.
torch.optim.lr_scheduler.CyclicLR(mode="triangular", cycle_momentum=False).
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def cyclical(step: int, length: int, h: Settings) -> float:
    if length <= 1:
        return 1.0
    half = max(1, round(length / (2 * h["cycles"])))
    along = step % (2 * half) / half  # 0 to 1 uphill, 1 to 2 downhill
    return float(h["low"] + (1.0 - h["low"]) * min(along, 2.0 - along))


ENTRY = Schedule(
    name="cyclical",
    title="Cyclical learning rate (triangular)",
    source="Smith (2017); torch.optim.lr_scheduler.CyclicLR",
    space={
        "warmup": WARMUP,
        "cycles": Hyperparameter(default=3, why="Smith: train for three or more cycles", low=1, high=6, whole=True, above_zero=True),
        "low": Hyperparameter(default=0.25, why="Smith: a quarter to a third of the peak", low=0.05, high=0.5, unit="share of the peak"),
    },
    example={"warmup": 0.1, "cycles": 2, "low": 0.1},
    factor=cyclical,
    peaks_at=0.17,
    aliases=("cycliclr", "triangular", "clr"),
)
