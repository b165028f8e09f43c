"""Weights that never change

How it is detected:
Trainable parameters are compared before and after the watched run, bit by bit.

Why it matters:
What does not move does not learn. It is a symptom: of a missing step, a cut graph, a parameter in no optimizer, a learning rate of 0.

What to do:
Look at the findings above it: one of them is the cause, and when that is mended this is gone.
"""

from __future__ import annotations

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    import torch

    seen = window.read(trace.ENTRY)
    if seen.run.raised or not seen.run.epochs or not seen.run.finite:
        return NotApplicable("the watched run did not come to the end of an epoch")
    now = {name: parameter for name, parameter in seen.made.model.named_parameters() if parameter.requires_grad}
    kept = {name: parameter for name, parameter in now.items() if name in seen.before}
    still = [name for name, parameter in kept.items() if torch.equal(parameter.detach(), seen.before[name])]
    if not still:
        return None
    evidence = (
        f"{len(still)} of {len(now)} trainable parameters ({', '.join(still[:3])}) are the same after {seen.run.updates} updates as before"
    )
    severity = "stop" if len(still) == len(now) else "info"
    return RULE.finding(evidence, "find the cause among the other findings", place=", ".join(still[:3]), severity=severity)


RULE = Rule(
    code="FL606",
    name="weights_never_change",
    title="Weights that never change",
    faults=("R13",),
    severity="warn",
    stage="symptom",
    check=check,
)


FIRES: Cases = {"a loop without step": lambda: looped("no step")}
SILENT: Cases = {"a loop with step": looped, "no loop": numbers}
