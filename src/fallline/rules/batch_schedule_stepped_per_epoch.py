"""Schedule made for batches is stepped per epoch

How it is detected:
The scheduler's own horizon is far beyond the number of times that it is stepped, and close to the number of batches in the whole
training; the curve in the other unit is the sound one.

Why it matters:
The learning rate never gets out of its warm-up, or is never annealed: OneCycleLR over 10,000 batches that is stepped 30 times stays at a
twenty-fifth of its peak.

What to do:
Call `scheduler.step()` after each `optimizer.step()` (`scheduler_step="batch"`); or count the horizon in epochs.
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
    if seen.plateau or seen.unit != "epoch" or seen.updates < 2 * seen.epochs or seen.horizon is None:
        return None
    if seen.calls >= 0.5 * seen.horizon or not 0.5 * seen.updates <= seen.horizon <= 2 * seen.updates:
        return None
    mine, other = seen.mine, seen.other
    evidence = (
        f"{seen.kind} is made for {seen.horizon:g} steps, about the {seen.updates} batches of the training, and is stepped "
        f"{seen.calls} times, "
        f"once an epoch: the lr goes from {mine.lr[0]:.3g} to {mine.at(1.0):.3g}, where stepped per batch it would reach "
        f"{other.peak:.3g} and "
        f"end at {other.at(1.0):.3g}"
    )
    figures = {"calls": seen.calls, "horizon": seen.horizon, "updates": seen.updates}
    return RULE.finding(evidence, "step the scheduler after every batch", place="scheduler", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    if window.setup.problem.loop is not None:
        return [schedules.cosine(window.read(schedule.ENTRY).calls)]
    return [schedules.stepped_per("batch")]


RULE = Rule(
    code="FL405",
    name="batch_schedule_stepped_per_epoch",
    title="Schedule made for batches is stepped per epoch",
    faults=("S05",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304", "FL406", "FL414", "FL415", "FL605", "FL606"),
)


def _one_cycle(unit: str, steps: int) -> Problem:
    from torch.optim.lr_scheduler import OneCycleLR

    return numbers(scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps), scheduler_step=unit)


FIRES: Cases = {"one cycle over all batches per epoch": lambda: _one_cycle("epoch", 15 * 15)}
SILENT: Cases = {
    "one cycle over all batches per batch": lambda: _one_cycle("batch", 15 * 15 + 1),
    "one cycle over the epochs per epoch": lambda: _one_cycle("epoch", 16),
    "no scheduler": numbers,
}
