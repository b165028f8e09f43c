"""Gradients are emptied before they are used

How it is detected:
A backward pass has given gradients, and the optimizer's step finds none, or only zeros.

Why it matters:
`zero_grad` between `backward` and `step` throws the gradients away. The optimizer steps on nothing: weights stay, or only decay.

What to do:
zero_grad, forward, backward, step: in this order.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    events = window.read(trace.ENTRY).events
    if not events.watched or events.emptied < 0.5 * events.watched:
        return None
    evidence = f"{events.emptied} of {events.watched} updates found no gradient although a backward pass had just given one"
    return RULE.finding(evidence, "move zero_grad before the backward pass", place="loop", step=1, figures={"emptied": events.emptied})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.plain()]


RULE = Rule(
    code="FL402",
    name="gradients_emptied_before_step",
    title="Gradients are emptied before they are used",
    faults=("S02",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL605", "FL606"),
)


FIRES: Cases = {"zero_grad between backward and step": lambda: looped("emptied late")}
SILENT: Cases = {"zero_grad before backward": looped, "no loop": numbers}
