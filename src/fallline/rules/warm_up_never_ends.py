"""Warm-up never ends

How it is detected:
The schedule is run over the whole training on a spare optimizer. The learning rate is 0 throughout, or stays below a tenth of the
optimizer's own for the first fifth and never comes near it, or is still climbing at the end.

Why it matters:
An integer division that gives 0, or a warm-up longer than the training, leaves the learning rate at the bottom: the training looks
stable, and stands still.

What to do:
Print the learning rate at the start, after the warm-up and at the end. A warm-up of 1 to 10 % of the updates is usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, schedules
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, schedule

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(schedule.ENTRY)
    if seen.plateau or seen.base <= 0:
        return None
    lr, peak = seen.mine.lr, seen.mine.peak
    evidence = (
        f"over the whole training the lr goes from {lr[0]:.3g} to {lr[-1]:.3g} and never above {peak:.3g}; the optimizer's own is "
        f"{seen.base:g}"
    )
    figures = {"peak": peak, "base": seen.base}
    remedy = "check the factor's division and its length: about 1 to 10 % of the updates, then a factor of 1"
    early = max(lr[: max(len(lr) // 5, 1)])
    if peak < 0.2 * seen.base and early < 0.1 * seen.base:
        return RULE.finding(evidence, remedy, place="scheduler", figures=figures)
    climbing = lr[-1] >= 0.999 * peak and lr[len(lr) // 2] < 0.75 * peak and lr[0] < 0.25 * peak
    if climbing and len(lr) > 4:
        evidence += ": it is still climbing at the end"
        return RULE.finding(evidence, remedy, place="scheduler", severity="warn" if peak > 0.5 * seen.base else "stop", figures=figures)
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [schedules.without(), *(make(window.read(schedule.ENTRY).calls) for make in (schedules.warm_up, schedules.falling))]


RULE = Rule(
    code="FL414",
    name="warm_up_never_ends",
    title="Warm-up never ends",
    faults=("S14",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304", "FL405", "FL415", "FL605", "FL606"),
)


def _warmed(steps: int, integers: bool = False) -> Problem:
    from torch.optim.lr_scheduler import LambdaLR

    factor = (lambda step: min(step // steps, 1)) if integers else (lambda step: min((step + 1) / steps, 1.0))
    return numbers(scheduler=lambda optimizer: LambdaLR(optimizer, factor), scheduler_step="batch")


FIRES: Cases = {"an integer division": lambda: _warmed(1000, integers=True), "a warm-up of 5000 updates": lambda: _warmed(5000)}
SILENT: Cases = {"a warm-up of 20 updates": lambda: _warmed(20), "no scheduler": numbers}
