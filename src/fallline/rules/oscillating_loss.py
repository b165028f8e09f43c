"""The loss swings instead of settling

How it is detected:
On the same training examples, in eval mode, the loss goes up and down between looks over the second half of the watched run, by more than
a quarter of all progress at the median. The run is then repeated with a tenth of the learning rate: the finding needs that the swings are
gone, and that it ends no worse.

Why it matters:
Where a training ends is then a matter of luck: of the last two looks one may be twice as good as the other.

What to do:
Divide the learning rate by three to ten, let it decay towards the end, or average the weights of the last steps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Window, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

FEWEST = 12  # looks
SWING = 0.25  # of all progress


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if len(seen.looks) < FEWEST or seen.diverged:
        return NotApplicable("the watched run diverged, or has too few looks to show swings")
    curve = [look.train for look in seen.looks]
    swing = _swing(curve)
    if swing < SWING:
        return None
    calmer = window.read(reruns.ENTRY).lr(0.1)
    late = sorted(curve[len(curve) // 2 :])
    usual = late[len(late) // 2]
    if not calmer.finite or calmer.end > usual:
        return None
    evidence = (
        f"over the second half of {seen.run.updates} updates the loss on the same training examples goes up and down between "
        f"{late[0]:.4g} and {late[-1]:.4g}, from {curve[0]:.4g} at the start; with a tenth of the lr {calmer.updates} updates end at "
        f"{calmer.end:.4g}"
    )
    figures = {"swing": swing, "least": late[0], "most": late[-1], "calmer": calmer.end}
    return RULE.finding(evidence, "multiply the lr by 0.1, or let it decay", place="optimizer", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.scaled_lr(factor) for factor in (0.1, 0.3)]  # the rule has tried the first


def _swing(curve: Sequence[float]) -> float:
    """Median step up or down over the second half, as a share of the progress; 0 where the curve goes one way."""
    late = curve[len(curve) // 2 :]
    if not all(math.isfinite(value) for value in curve):
        return 0.0
    steps = [later - sooner for sooner, later in itertools.pairwise(late)]
    turns = sum(a * b < 0 for a, b in itertools.pairwise(steps))
    progress = max(curve[0] - min(curve), 1e-12)
    if turns < len(steps) / 3 or progress < 0.02 * abs(curve[0]):
        return 0.0
    return sorted(map(abs, steps))[len(steps) // 2] / progress


RULE = Rule(
    code="FL613",
    name="oscillating_loss",
    title="The loss swings instead of settling",
    faults=("R07", "O03"),
    severity="warn",
    stage="symptom",
    check=check,
    changes=changes,
)


def _sgd(lr: float) -> Problem:
    import torch

    return numbers(batch_size=8, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=lr))


FIRES: Cases = {"SGD on batches of eight, near what it bears": lambda: _sgd(0.5)}
SILENT: Cases = {"Adam": numbers, "classes": classes, "SGD at a tenth of it": lambda: _sgd(0.05)}
