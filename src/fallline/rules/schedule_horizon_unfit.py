"""Schedule's length is not that of the training

How it is detected:
The schedule is run over the whole training on a spare optimizer. A learning rate that climbs again after its minimum, of a scheduler that
is not made to restart, or that ends while the scheduler has more than half of its way ahead, does not fit the length; so does one that
raises.

Why it matters:
A cosine with half the right T_max brings the learning rate back to its start at the end, which undoes the annealing. One that is far too
long never anneals. OneCycleLR raises when it is stepped beyond its end.

What to do:
Set `T_max` or `total_steps` to the number of times the scheduler will be stepped.
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
    if seen.plateau or seen.periodic or seen.calls < 3:
        return None
    mine = seen.mine
    figures = {"calls": seen.calls, "horizon": seen.horizon or 0.0}
    remedy = f"set the schedule's length to {seen.calls}, the number of times it is stepped"
    if mine.raised:
        evidence = f"{seen.kind} is stepped {seen.calls} times and raises after {mine.raised_at:.0%} of them: {mine.raised}"
        severity = "stop" if mine.raised_at < 0.99 else "info"
        return RULE.finding(evidence, remedy, place="scheduler", severity=severity, figures=figures)
    lowest = min(range(len(mine.lr)), key=lambda place: mine.lr[place])
    top = max(mine.lr[: lowest + 1])
    again = max(mine.lr[lowest:])
    warming = mine.lr.index(mine.peak) > lowest and again >= 2 * mine.lr[0]  # it has only climbed, from its start to its peak
    if again > mine.lr[lowest] + 0.2 * mine.peak and top > mine.lr[lowest] + 0.2 * mine.peak and not warming:
        evidence = (
            f"the lr falls to {mine.lr[lowest]:.3g} at {lowest / len(mine.lr):.0%} of the training and climbs again to {again:.3g}: "
            f"{seen.kind} is made for {seen.horizon or 0:g} steps and is stepped {seen.calls} times"
        )
        return RULE.finding(evidence, remedy, place="scheduler", figures=figures)
    anneals = seen.horizon is not None and seen.kind in ("CosineAnnealingLR", "OneCycleLR", "PolynomialLR")
    if anneals and seen.horizon is not None and seen.calls < 0.5 * seen.horizon:
        evidence = (
            f"{seen.kind} is made for {seen.horizon:g} steps and is stepped {seen.calls} times: the lr ends at {mine.at(1.0):.3g}, "
            f"{mine.at(1.0) / mine.peak:.0%} of its peak"
        )
        return RULE.finding(evidence, remedy, place="scheduler", figures=figures)
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [schedules.lasting(int(finding.figures["calls"])), schedules.cosine(int(finding.figures["calls"]))]


RULE = Rule(
    code="FL406",
    name="schedule_horizon_unfit",
    title="Schedule's length is not that of the training",
    faults=("S06",),
    severity="warn",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL409", "FL415"),
)


def _cosine(length: int) -> Problem:
    from torch.optim.lr_scheduler import CosineAnnealingLR

    return numbers(scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=length))


def _restarts() -> Problem:
    from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

    return numbers(scheduler=lambda optimizer: CosineAnnealingWarmRestarts(optimizer, T_0=5))


FIRES: Cases = {"a cosine of half the length": lambda: _cosine(7), "a cosine of five times the length": lambda: _cosine(75)}
SILENT: Cases = {"a cosine of the right length": lambda: _cosine(15), "one epoch off": lambda: _cosine(14), "warm restarts": _restarts}
