"""Ordered data are not shuffled

How it is detected:
The targets in the batches of the first epoch are compared with the same targets in random order: entropy for classes, variance for
numbers. The order must be fixed, and the batches far more alike within than by chance.

Why it matters:
With data sorted by class each batch says the same thing, and the model forgets in the second half of an epoch what it learned in the
first. Batch norm's statistics swing with it.

What to do:
`shuffle=True` in the DataLoader. For time series: shuffle windows, not what is in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, classes, labelled
from fallline.signals import Window, order

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(order.ENTRY)
    if seen.shuffled:
        return None
    share = f"{seen.mixed:.0%} of what random order gives"
    figures = {"mixed": seen.mixed, "batches": seen.batches}
    if seen.classes and seen.mixed < 0.7:
        evidence = f"the order is fixed, and the entropy of the classes within a batch of {seen.batch_size} is {share}"
        severity = "stop" if seen.mixed < 0.5 else "warn"
        return RULE.finding(evidence, "shuffle the training data each epoch", place="train", severity=severity, figures=figures)
    if not seen.classes and seen.mixed < 0.5:
        evidence = f"the order is fixed, and the variance of the target within a batch of {seen.batch_size} is {share}"
        sorted_by_target = seen.monotone > 0.9
        severity = "stop" if sorted_by_target else "info"
        evidence += "; the rows are sorted by the target" if sorted_by_target else ""
        return RULE.finding(evidence, "shuffle the training data each epoch", place="train", severity=severity, figures=figures)
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [data.shuffled()]


RULE = Rule(
    code="FL413",
    name="unshuffled_ordered_data",
    title="Ordered data are not shuffled",
    faults=("S13",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL303", "FL415", "FL504", "FL604", "FL605", "FL607"),
)


def _sorted(shuffle: bool) -> Problem:
    x, y = labelled(ROWS, 1)
    places = y.argsort(stable=True)
    return classes(train=(x[places], y[places]), shuffle=shuffle)


FIRES: Cases = {"rows sorted by class, not shuffled": lambda: _sorted(False)}
SILENT: Cases = {
    "rows sorted by class, shuffled": lambda: _sorted(True),
    "mixed rows, not shuffled": lambda: classes(shuffle=False),
}
