"""Steps are very large or very small beside the weights

How it is detected:
At some updates of the watched run the change of each matrix is divided by its size; the median over matrices, then over these updates, lies
above a tenth or below a hundred-thousandth.

Why it matters:
A step usually changes a weight by about a thousandth. It says in one number whether a learning rate is in the usual range, whatever the
optimizer. Being outside is no fault by itself: fine-tuning steps are small, and weights that start at zero move far.

What to do:
Look at the loss: where it rises or swings and steps are large, divide the lr; where it hardly falls and steps are small, multiply it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

LOW, HIGH = 1e-5, 0.1  # TheDeepChecker's band is 1e-4 to 1e-1; fine-tuning lies below it


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    ratios = sorted(seen.events.moved.values())
    if not ratios or not seen.run.finite:
        return NotApplicable("no step of the watched run was measured, or it did not stay finite")
    ratio = ratios[len(ratios) // 2]
    if LOW <= ratio <= HIGH:
        return None
    evidence = f"a step changes the matrices by {ratio:.1g} of their size, at the median of {len(ratios)} steps; a thousandth is usual"
    remedy = "divide the lr by 10 where the loss is unsteady" if ratio > HIGH else "multiply the lr by 10 where the loss hardly falls"
    return RULE.finding(evidence, remedy, place="optimizer", figures={"ratio": ratio})


RULE = Rule(
    code="FL611",
    name="update_size",
    title="Steps are very large or very small beside the weights",
    faults=("R11",),
    severity="info",
    stage="symptom",
    check=check,
)


def _adam(lr: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr))


FIRES: Cases = {"Adam at 1": lambda: _adam(1.0), "Adam at 0.0000001": lambda: _adam(1e-7)}
SILENT: Cases = {"Adam at 0.003": numbers, "classes": classes}
