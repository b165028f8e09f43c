"""Reduce on plateau

What it does:
Holds lr at the peak and looks at the metric on valid at fixed points of the training (20 of them unless the recipe
says otherwise). When it has not improved by more than `threshold` (a share of the best value) for more than
`patience` looks in a row, lr is multiplied by `factor`, and the count starts anew.

When it suits:
The length is generous and nobody knows when progress will stop: early-stopping set-ups, tables with many epochs,
recurrent networks. It adapts to the problem, where a step schedule has to be told.

When it does not:
A noisy metric (small valid, few positives): a lucky value sets the mark, the next looks fall short, and lr drops
though training was going well; take a longer patience. In a short training (patience 4 needs 5 looks without
progress, a quarter of 20) it may never act, and then is a constant. It cannot be computed in advance, so a result
depends on every earlier look, and the reading of valid makes valid a little optimistic.

Source:
torch.optim.lr_scheduler.ReduceLROnPlateau; the rule was used by A. Krizhevsky, I. Sutskever and G. Hinton (2012), by
hand.
"""

from __future__ import annotations

from collections.abc import Sequence

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def plateau(step: int, length: int, h: Settings) -> float:
    return 1.0


def react(history: Sequence[float], h: Settings) -> float:
    best, idle, factor = float("inf"), 0, 1.0
    for value in history:
        # A share of |best|: torch takes a share of best itself, which for a negative metric would call a slightly worse value better.
        bar = best if best == float("inf") else best - h["threshold"] * abs(best)
        best, idle = (value, 0) if value < bar else (best, idle + 1)
        if idle > h["patience"]:
            factor, idle = factor * h["factor"], 0
    return float(factor)


ENTRY = Schedule(
    name="plateau",
    title="Reduce on plateau",
    source="torch.optim.lr_scheduler.ReduceLROnPlateau",
    space={
        "warmup": WARMUP,
        "factor": Hyperparameter(default=0.1, why="torch's default", low=0.1, high=0.7, log=True, above_zero=True),
        "patience": Hyperparameter(
            default=4,
            why="torch has 10 epochs; of 20 looks that would leave room for one drop, this leaves room for three; of 10, for one",
            low=1,
            high=8,
            whole=True,
        ),
        "threshold": Hyperparameter(default=1e-4, why="torch's default: what is smaller is noise", low=1e-5, high=1e-2, log=True),
    },
    example={"warmup": 0.1, "factor": 0.5, "patience": 1, "threshold": 0.2},
    factor=plateau,
    reads_metric=True,
    react=react,
    aliases=("reduce_on_plateau", "reducelronplateau"),
)
