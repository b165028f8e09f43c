"""Cosine with warm restarts (SGDR)

What it does:
The length is divided into `cycles`, each `mult` times as long as the one before; in each lr falls from the peak along a
half cosine to `final` of the peak, and then jumps back. With the defaults the cycles take 1/7, 2/7 and 4/7 of the
length.

When it suits:
Trainings that may be stopped early: the end of each cycle is a settled, usable state, and the average of several such
states is a cheap ensemble (snapshot ensembles). With several basins, a restart may find a better one.

When it does not:
As the way to the best result at a known length: the last cycle is a cosine over only part of it, and a single cosine over
all of it ends lower in most comparisons. Each restart throws the metric back for a while, so a rung just after one judges
too harshly. Adam's second moment is of the wrong size after a jump.

Source:
I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017.
torch.optim.lr_scheduler.CosineAnnealingWarmRestarts.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def warm_restarts(step: int, length: int, h: Settings) -> float:
    import math

    cycles, mult, final = int(h["cycles"]), float(h["mult"]), float(h["final"])
    place = min(step / max(length, 1), 1.0) * sum(mult**k for k in range(cycles))  # in lengths of the first cycle
    cycle = 1.0
    for _ in range(cycles - 1):
        if place < cycle - 1e-9:  # a step that begins a cycle may come out a rounding error before it
            break
        place, cycle = max(place - cycle, 0.0), cycle * mult
    return final + (1.0 - final) * (1.0 + math.cos(math.pi * min(place / cycle, 1.0))) / 2.0


ENTRY = Schedule(
    name="warm_restarts",
    title="Cosine with warm restarts (SGDR)",
    source="Loshchilov and Hutter (2017), SGDR; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts",
    space={
        "warmup": WARMUP,
        "cycles": Hyperparameter(
            default=3, why="with doubling, the last cycle then has more than half of the length", low=1, high=5, whole=True, above_zero=True
        ),
        "mult": Hyperparameter(default=2, why="the paper's doubling", low=1, high=3, whole=True, above_zero=True),
        "final": Hyperparameter(
            default=0.0, why="torch's default (eta_min): lr falls to zero", low=0.0, high=0.1, unit="share of the peak"
        ),
    },
    example={"warmup": 0.1, "cycles": 2, "mult": 3, "final": 0.1},
    factor=warm_restarts,
    aliases=("cosineannealingwarmrestarts", "sgdr"),
)
