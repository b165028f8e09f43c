"""Learning rate gone too early

How it is detected:
The schedule takes the learning rate below a hundredth of its peak in the first half of the training; the run is then repeated without the
schedule, and makes at least a third more progress.

Why it matters:
The training stands still while there is still much to gain; the rest of the time is wasted.

What to do:
A slower decay: half a cosine over the whole training, or a smaller gamma.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, schedules
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, schedule, trace

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made


LITTLE = 0.75  # of the progress without the schedule: a decay that comes in time gains by it


def check(window: Window) -> Outcome:
    seen = window.read(schedule.ENTRY)
    if seen.plateau or seen.mine.raised or seen.mine.at(0.5) >= 0.01 * seen.mine.peak or seen.mine.peak < 0.1 * seen.base:
        return None

    def constant(made: Made) -> None:
        made.scheduler = None

    tries = window.read(reruns.ENTRY)
    updates = min(seen.updates, window.read(trace.ENTRY).run.updates)
    own, flat = tries.of("", updates=updates), tries.of("no schedule", constant, updates=updates)
    if not flat.finite or own.gain > LITTLE * flat.gain or flat.gain < 0.2 * abs(flat.start):
        return None
    gone = next(place for place, lr in enumerate(seen.mine.lr) if place > seen.mine.lr.index(seen.mine.peak) and lr < 0.01 * seen.mine.peak)
    share = gone / len(seen.mine.lr)
    evidence = (
        f"the lr falls below a hundredth of its peak after {share:.0%} of the training; in {own.updates} updates the loss comes from "
        f"{own.start:.4g} to {own.end:.4g}, without the schedule to {flat.end:.4g}"
    )
    return RULE.finding(evidence, "decay over the whole training, such as a cosine", place="scheduler", figures={"share": share})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [schedules.cosine(window.read(schedule.ENTRY).calls), schedules.without()]


RULE = Rule(
    code="FL409",
    name="decay_too_fast",
    title="Learning rate gone too early",
    faults=("S09",),
    severity="warn",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL605"),
)


def _staircase(gamma: float) -> Problem:
    from torch.optim.lr_scheduler import ExponentialLR

    return numbers(scheduler=lambda optimizer: ExponentialLR(optimizer, gamma=gamma))


FIRES: Cases = {"a hundredth an epoch": lambda: _staircase(0.01)}
SILENT: Cases = {"0.8 an epoch": lambda: _staircase(0.8), "no scheduler": numbers}
