"""Padding counts in the loss

How it is detected:
One value of the target fills the ends of rows, and hardly occurs elsewhere: it marks padding. The gradient of the loss at those positions
is not zero, so they are trained on.

Why it matters:
The commonest answer becomes "padding", which is easy: the loss looks good, accuracy too, and what matters gets the rest of the gradient.

What to do:
`ignore_index` in the loss, and the same in the metric (`Problem(ignore_index=...)`); or a mask over the positions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes
from fallline.signals import Window, behaviour, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


LEAST = 0.1  # of all positions: below it padding can hardly lead the loss


def check(window: Window) -> Outcome:
    values = window.read(targets.ENTRY).train
    marks = {kind: share for kind, share in values.trailing.items() if share >= LEAST}
    if not marks:
        return None
    kind = max(marks, key=lambda value: marks[value])
    if kind in window.read(behaviour.ENTRY).skips:
        return None
    share = marks[kind]
    evidence = f"target {kind:g} fills the ends of rows, {share:.0%} of all positions, and the loss counts them"
    remedy = f"leave them out: ignore_index={kind:g} in the loss, and in Problem for the metric"
    severity = "stop" if share > 0.5 else "warn"
    return RULE.finding(evidence, remedy, place="loss", severity=severity, figures={"share": share})


def changes(window: Window, finding: Finding) -> list[Change]:
    trailing = window.read(targets.ENTRY).train.trailing
    return [losses.ignoring(int(max(trailing, key=lambda kind: trailing[kind])))]


RULE = Rule(
    code="FL114",
    name="padding_in_loss",
    title="Padding counts in the loss",
    faults=("L14",),
    severity="warn",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL504", "FL605"),
)


def _padded(ignore: int = -100) -> Problem:
    import torch
    from torch import nn

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 6, (480, 12), generator=generator)
    tokens[torch.arange(12) >= torch.randint(3, 12, (480, 1), generator=generator)] = 0
    model = lambda: nn.Sequential(nn.Embedding(6, 8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 6))  # noqa: E731
    entropy = lambda output, target: nn.functional.cross_entropy(output.transpose(1, 2), target, ignore_index=ignore)  # noqa: E731
    return classes(model=model, train=(tokens, torch.where(tokens > 0, 6 - tokens, 0)), valid=None, loss=entropy, metric=None)


FIRES: Cases = {"padding without ignore_index": _padded}
SILENT: Cases = {"padding that the loss ignores": lambda: _padded(0), "one class a case": classes}
