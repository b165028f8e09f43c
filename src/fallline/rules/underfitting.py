"""Underfitting: a linear probe does better

How it is detected:
After the whole watched run the model's answers on training examples are scored from 0, the best constant answer, to 1, beside those of a
ridge regression that was fitted on other examples. The finding needs that the model, which has seen these very examples, stays below two
thirds of the probe.

Why it matters:
The training loss has come down, and looks like the end of what the data allow. It is not: a simpler model gets further.

What to do:
Look at the findings above it for a cause; else a larger model, a longer training, a higher learning rate, or less decay and dropout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, network, numbers
from fallline.rules.learns_nothing import SHARE, WELL
from fallline.signals import Window, reference, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

LESS = 0.67  # of the probe's score


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if not seen.whole:
        return NotApplicable("the watched run ended before the training does; give a longer run_for")
    found = window.read(reference.ENTRY)
    if found.probe < WELL or not SHARE * found.probe < found.model < LESS * found.probe:
        return None
    evidence = (
        f"after all {seen.run.updates} updates the model scores {found.model:.2f} on training examples, a ridge regression that was fitted "
        f"on other examples {found.probe:.2f}, where the best constant answer scores 0"
    )
    figures = {"model": found.model, "probe": found.probe}
    remedy = "a larger model, a longer training or a higher lr, where no other finding names the cause"
    return RULE.finding(evidence, remedy, place="training", step=seen.run.updates, figures=figures)


RULE = Rule(
    code="FL610",
    name="underfitting",
    title="Underfitting: a linear probe does better",
    faults=("R10",),
    severity="warn",
    stage="symptom",
    check=check,
)


def _of_width(width: int) -> Problem:
    return numbers(model=lambda: network(width=width), epochs=8)


FIRES: Cases = {"four units a layer, eight epochs": lambda: _of_width(4)}
SILENT: Cases = {"classes": classes, "numbers": numbers, "twice as wide": lambda: _of_width(48)}
