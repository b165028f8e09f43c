"""Gradients are never emptied

How it is detected:
A hook on the model's output looks at the parameters' gradients when a backward pass begins. The first one after an update must find none,
or zeros; what it finds otherwise is left from before that update.

Why it matters:
`backward()` adds to the gradients that are there. Without `zero_grad` each step follows the sum of all gradients so far: a momentum of 1
that never forgets.

What to do:
`optimizer.zero_grad()` once for every `optimizer.step()`, before the backward pass.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    events = window.read(trace.ENTRY).events
    if events.first_passes < 2 or events.unemptied < 0.5 * events.first_passes:
        return None
    evidence = (
        f"{events.unemptied} of {events.first_passes} backward passes that follow an update found gradients of before it; nothing "
        f"empties them"
    )
    figures = {"found": events.unemptied, "passes": events.first_passes}
    return RULE.finding(
        evidence, "call optimizer.zero_grad() before each backward pass that begins a step", place="loop", step=2, figures=figures
    )


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.emptying()]


RULE = Rule(
    code="FL401",
    name="gradients_never_emptied",
    title="Gradients are never emptied",
    faults=("S01",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL303", "FL309", "FL601", "FL604", "FL605"),
)


FIRES: Cases = {"a loop without zero_grad": lambda: looped("never emptied")}
SILENT: Cases = {"a loop with zero_grad": looped, "accumulation over four batches": lambda: looped("averaged"), "no loop": numbers}
