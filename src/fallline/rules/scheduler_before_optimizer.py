"""Scheduler steps before the optimizer

How it is detected:
In the user's own loop the first call of `scheduler.step()` comes before the first update.

Why it matters:
The first value of the schedule is skipped, and every later one comes a step early.

What to do:
`optimizer.step()` first, then `scheduler.step()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    problem = window.setup.problem
    if problem.loop is None or problem.scheduler is None:
        return NotApplicable("the order of calls is the user's only in a loop of their own")
    if not window.read(trace.ENTRY).run.early:
        return None
    return RULE.finding("scheduler.step() is called before the first optimizer.step()", "step the optimizer first", place="loop")


RULE = Rule(
    code="FL407",
    name="scheduler_before_optimizer",
    title="Scheduler steps before the optimizer",
    faults=("S07",),
    severity="warn",
    stage="schedule",
    check=check,
)


def _looped(early: bool) -> Problem:
    from torch.optim.lr_scheduler import StepLR

    def loop(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        if early:
            scheduler.step()
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()
        if not early:
            scheduler.step()

    return numbers(loop=loop, scheduler=lambda optimizer: StepLR(optimizer, step_size=5))


FIRES: Cases = {"the scheduler first": lambda: _looped(True)}
SILENT: Cases = {"the optimizer first": lambda: _looped(False), "no loop": numbers}
