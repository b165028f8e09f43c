"""Warm-up, stable, decay

What it does:
After a linear warm-up lr stays at the peak, and only the last `decay` share of the length falls, as 1 - sqrt(x), x
going from 0 to 1 along it: fast at first, then slowly to zero. With the defaults of 5 % and 20 % three quarters of
the steps run at the peak.

When it suits:
The length is not settled: keep the state at the peak, decay a copy whenever a result is wanted, and go on from the
uncooled one. With decay shares of 10 to 20 % the final loss equals cosine's of the same length for language models
(Hagele et al. 2024), and most of the fall comes during the decay. Long trainings whose last part should see special
data.

When it does not:
Judged before the decay it looks worse than it is: the noise of the peak hides the progress. A peak that is somewhat
too high, which cosine forgives, is paid for during three quarters of the training. In trainings of a few hundred
steps the decay is too short to settle: give it half. On small data with many passes the whole stable part may overfit
at full lr.

Source:
A. Hagele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, NeurIPS 2024; S. Hu et
al., MiniCPM (2024).
"""

from __future__ import annotations

from dataclasses import replace

from fallline.catalogue import Hyperparameter, Schedule, Settings
from fallline.catalogue.schedules import WARMUP


def wsd(step: int, length: int, h: Settings) -> float:
    import math

    start = (1.0 - h["decay"]) * length
    if step <= start:
        return 1.0
    return 1.0 - math.sqrt(min((step - start) / max(length - start, 1e-9), 1.0))  # 1e-9: a length of zero has no decay


ENTRY = Schedule(
    name="wsd",
    title="Warm-up, stable, decay",
    source="Hagele et al. (2024); Hu et al. (2024), MiniCPM",
    space={
        "warmup": replace(WARMUP, default=0.05, why="it is in the name; 1 to 5 % in the papers, and short trainings need the larger share"),
        "decay": Hyperparameter(
            default=0.2,
            why="Hagele et al.: 10 to 20 % equals cosine; short trainings want more",
            low=0.1,
            high=0.6,
            unit="share of the length",
        ),
    },
    example={"warmup": 0.1, "decay": 0.4},
    factor=wsd,
    aliases=("warmup_stable_decay", "trapezoidal"),
)
