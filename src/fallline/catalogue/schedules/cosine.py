"""Cosine decay

What it does:
factor = final + (1 - final) * (1 + cos(pi * step / length)) / 2: half a cosine wave from the peak down to `final`. It
stays above 85 % of the peak for the first quarter of the length, is at one half in the middle, and spends the last
quarter below 15 %. No restarts; the length is the whole training.

When it suits:
The default choice when the number of steps is known: image classifiers, transformers, tables. It has no drop points
to place, is forgiving about the peak (the long tail repairs a peak that is somewhat high), and with a warm-up of 2 to
5 % it is the standard recipe of language models, there with `final` = 0.1.

When it does not:
When training may be stopped early or go on longer: in the middle lr is still half the peak and the weights are noisy,
so a checkpoint at half the length is worse than a short run of its own. Use wsd where the end is open. Going on after
the end means a new peak, which first undoes part of what was learned.

Source:
I. Loshchilov and F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, ICLR 2017 (without the restarts).
torch.optim.lr_scheduler.CosineAnnealingLR(T_max=length).
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def cosine(step: int, length: int, h: Settings) -> float:
    import math

    final = float(h["final"])
    return final + (1.0 - final) * (1.0 + math.cos(math.pi * min(step / max(length, 1), 1.0))) / 2.0


ENTRY = Schedule(
    name="cosine",
    title="Cosine decay",
    source="Loshchilov and Hutter (2017); torch.optim.lr_scheduler.CosineAnnealingLR",
    space={
        "warmup": WARMUP,
        "final": Hyperparameter(
            default=0.0, why="torch's default (eta_min): lr falls to zero", low=0.0, high=0.1, unit="share of the peak"
        ),
    },
    example={"warmup": 0.1, "final": 0.1},
    factor=cosine,
    aliases=("cosine_annealing", "cosineannealinglr"),
)
