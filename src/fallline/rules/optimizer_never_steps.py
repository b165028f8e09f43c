"""The optimizer never steps

How it is detected:
The user's loop runs an epoch, backward passes are made, and the optimizer that it was given makes no update.

Why it matters:
Gradients are computed and never used: the weights after an epoch are those before it.

What to do:
Call `optimizer.step()` after `backward()`, on the optimizer that holds this model's parameters.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if seen.run.updates or seen.run.raised or not seen.run.epochs or not (seen.run.scales or seen.events.backwards):
        return None
    if seen.events.others:
        return NotApplicable("another optimizer steps; see the rule on optimizers that are built anew")
    passes = len(seen.run.scales) or seen.events.backwards
    evidence = f"the loop made {passes} backward passes and not one step of the optimizer that the set-up names"
    return RULE.finding(evidence, "call optimizer.step() after backward()", place="loop", figures={"passes": passes})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.plain()]


RULE = Rule(
    code="FL403",
    name="optimizer_never_steps",
    title="The optimizer never steps",
    faults=("S03",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL001", "FL304", "FL415", "FL605", "FL606"),
)


FIRES: Cases = {"a loop without step": lambda: looped("no step")}
SILENT: Cases = {"a loop with step": looped, "no loop": numbers}
