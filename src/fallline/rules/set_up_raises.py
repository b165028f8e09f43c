"""The set-up raises an error

How it is detected:
Data, model, optimizer, scheduler, loss and loop are made and run on copies. What they raise is kept, with where it happened.

Why it matters:
The training cannot run as it is.

What to do:
Correct what the message names. Other findings, where there are any, say more of the cause.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Signal, Unavailable, Window, gradients, outputs, targets, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    looks: tuple[Signal[Any], ...] = (outputs.ENTRY, gradients.ENTRY, trace.ENTRY)
    for signal in looks:
        if not window.setup.raised:
            with contextlib.suppress(Unavailable):
                window.read(signal)
    raised = window.setup.raised
    if not raised:
        return None
    first = raised[0]
    evidence = f"{first}".rstrip(".")
    if len(raised) > 1:
        evidence += f"; and {len(raised) - 1} more"
    return RULE.finding(evidence[:600], "correct what the message names", place=first.where, figures={"errors": len(raised)})


def changes(window: Window, finding: Finding) -> list[Change]:
    if finding.place != "the loss":
        return []
    return [losses.same_shape(), losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))]


RULE = Rule(
    code="FL001",
    name="set_up_raises",
    title="The set-up raises an error",
    faults=(),
    severity="stop",
    stage="crash",
    check=check,
    changes=changes,
)


def _wrong_width() -> Problem:
    return numbers(model=lambda: network(columns=5))


FIRES: Cases = {"a layer of the wrong width": _wrong_width}
SILENT: Cases = {"a set-up that runs": numbers}
