"""Plateau scheduler waits for the wrong direction

How it is detected:
The `mode` of a ReduceLROnPlateau is compared with the direction of the metric. A scheduler in mode "max" beside a metric that should fall
is wrong; in mode "min" beside a metric that should rise it depends on what it is given: right for a loss, wrong for that metric.

Why it matters:
The learning rate is cut whenever the metric improves, and stays when it gets worse.

What to do:
`mode="max"` for accuracy and the like, `mode="min"` for losses and errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, schedules
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Window

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    problem = window.setup.problem
    if problem.scheduler is None:
        return NotApplicable("there is no scheduler")
    scheduler = window.setup.make().scheduler
    if not isinstance(scheduler, ReduceLROnPlateau):
        return NotApplicable("the scheduler does not read a metric")
    metric = problem.resolved_metric()
    if metric is None or metric.direction == scheduler.mode:
        return None
    evidence = (
        f"the scheduler waits for a {'maximum' if scheduler.mode == 'max' else 'minimum'} and the metric {metric.name} is better when "
    )
    evidence += "lower" if metric.direction == "min" else "higher"
    remedy = f'mode="{metric.direction}" where it is given this metric'
    if scheduler.mode == "min":
        evidence += "; right where it is given a loss, wrong where it is given this metric"
    return RULE.finding(evidence, remedy, place="scheduler", severity="warn" if scheduler.mode == "max" else "info")


def changes(window: Window, finding: Finding) -> list[Change]:
    metric = window.setup.problem.resolved_metric()
    return [] if metric is None else [schedules.other_mode(metric.direction)]


RULE = Rule(
    code="FL408",
    name="plateau_in_wrong_direction",
    title="Plateau scheduler waits for the wrong direction",
    faults=("S08",),
    severity="warn",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304",),
)


def _plateau(mode: str) -> Problem:
    from torch.optim.lr_scheduler import ReduceLROnPlateau

    return numbers(scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, mode=mode))  # type: ignore[arg-type]  # a literal


FIRES: Cases = {"mode max on an error": lambda: _plateau("max")}
SILENT: Cases = {"mode min on an error": lambda: _plateau("min"), "no scheduler": classes}
