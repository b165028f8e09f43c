"""Schedules: one entry a file, each a pure function of (step, length). Every schedule takes an optional warm-up, applied here."""

from __future__ import annotations

from fallline.catalogue import Hyperparameter

WARMUP = Hyperparameter(
    default=0.0, low=0.0, high=0.1, unit="share of the length",
    why="0 is what torch's schedulers do; adaptive recipes in the portfolio ask for 0.02 to 0.05", below=1.0)  # fmt: skip


def warmed(step: int, length: int, warmup: float) -> tuple[float, int, int]:
    """The warm-up's own factor at `step`, and the step and length that are left to the schedule after it.

    The ramp is linear and never zero: its first step runs at 1/(w+1) of the peak, w being the number of warm-up steps.
    """
    ramp = int(warmup * length)
    if step < ramp:
        return (step + 1) / (ramp + 1), 0, length - ramp
    return 1.0, step - ramp, length - ramp
