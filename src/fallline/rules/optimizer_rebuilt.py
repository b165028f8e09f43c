"""Another optimizer does the steps

How it is detected:
A hook that sees every optimizer counts those, other than the one that the set-up names, which update this model's parameters in the loop.

Why it matters:
Built anew each epoch, Adam forgets its moments and momentum starts from nothing; schedules act on an optimizer that nobody uses.

What to do:
Build the optimizer once, before the first epoch, and hand it to the loop.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if not seen.events.others:
        return None
    count, epochs = seen.events.others_made, max(seen.run.epochs, 1)
    evidence = f"in {epochs} epochs {count} other {', '.join(sorted(seen.events.others))} objects updated the model's parameters"
    remedy = "build the optimizer once and step the one that the loop is given"
    return RULE.finding(evidence, remedy, place="loop", figures={"optimizers": count, "epochs": epochs})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.plain()]


RULE = Rule(
    code="FL416",
    name="optimizer_rebuilt",
    title="Another optimizer does the steps",
    faults=("S16",),
    severity="warn",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL301", "FL403", "FL405", "FL606"),
)


FIRES: Cases = {"an optimizer that the loop builds": lambda: looped("rebuilt")}
SILENT: Cases = {"one optimizer": looped, "no loop": numbers}
