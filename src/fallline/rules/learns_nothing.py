"""The model learns nothing of what can be learned

How it is detected:
After the watched run the model's answers on training examples are scored from 0, the best constant answer, to 1. A ridge regression on the
inputs, fitted on other examples, is scored on the same ones. The finding needs that the probe does well, and the model no better than a
tenth of it.

Why it matters:
Targets that a linear probe predicts are not noise, so something in the set-up keeps the model from learning. It is a symptom: the loss
alone, which may even fall to that of the best constant, does not show it.

What to do:
Look at the findings above it: one of them is the cause. Without any, overfit ten examples first, then look at data, loss and learning rate
one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Window, reference, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

WELL = 0.3  # of all that there is to know: such a probe does not owe it to luck on a hundred examples
SHARE = 0.1  # of the probe's score


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if not seen.whole:
        return NotApplicable("the watched run ended before the training does; give a longer run_for")
    found = window.read(reference.ENTRY)
    if found.probe < WELL or found.model > SHARE * found.probe:
        return None
    evidence = (
        f"after all {seen.run.updates} updates the model scores {found.model:.2f} on training examples, where the best constant answer "
        f"scores 0 and a ridge regression on other examples {found.probe:.2f}"
    )
    figures = {"model": found.model, "probe": found.probe}
    return RULE.finding(evidence, "find the cause among the other findings", place="training", step=seen.run.updates, figures=figures)


RULE = Rule(
    code="FL612",
    name="learns_nothing",
    title="The model learns nothing of what can be learned",
    faults=("R06",),
    severity="warn",
    stage="symptom",
    check=check,
    explains=("FL610",),
)


def _sgd(lr: float) -> Problem:
    import torch

    return classes(optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=lr))


FIRES: Cases = {"an lr at which nothing moves": lambda: _sgd(1e-7)}
SILENT: Cases = {"classes": classes, "numbers": numbers, "a slow training": lambda: _sgd(0.03)}
