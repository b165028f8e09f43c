"""Scheduler turns another optimizer's learning rate

How it is detected:
The scheduler's `optimizer` is compared with the optimizer that trains.

Why it matters:
The learning rate of the optimizer that trains never changes, whatever the scheduler prints.

What to do:
Build the scheduler from the optimizer that trains, after that is built for the last time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, schedules
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    problem = window.setup.problem
    theirs = getattr(problem.scheduler, "optimizer", None)
    if theirs is None:
        return NotApplicable("there is no scheduler object to ask")
    if theirs is problem.optimizer:
        return None
    evidence = f"{type(problem.scheduler).__name__} holds another {type(theirs).__name__} than the one that trains, whose lr stays as it is"
    return RULE.finding(evidence, "build the scheduler from the optimizer that trains", place="scheduler")


def changes(window: Window, finding: Finding) -> list[Change]:
    return [schedules.of_this_optimizer()]


RULE = Rule(
    code="FL417",
    name="scheduler_of_another_optimizer",
    title="Scheduler turns another optimizer's learning rate",
    faults=("O02",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL302", "FL406"),
)


def _of(own: bool) -> Problem:
    import torch

    model = network()
    optimizer, other = (torch.optim.Adam(model.parameters(), lr=3e-3) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer if own else other, step_size=5)
    return numbers(model=model, optimizer=optimizer, scheduler=scheduler)


FIRES: Cases = {"the scheduler of another optimizer": lambda: _of(False)}
SILENT: Cases = {"its own scheduler": lambda: _of(True), "no scheduler": numbers}
