"""Operation that gives NaN or inf at the end of its range

How it is detected:
The loss is given the ends of what the model can say: probabilities of exactly 0 and 1, or logits of 120. Value and gradient must stay
finite. A gradient that is NaN or inf on the first batches, before any update, is named; and where the watched run has met NaN or inf
while the loss was still finite, the update.

Why it matters:
log(0), the square root at 0, exp of a large number: float32 reaches all of them. One such case makes every weight NaN, often after hours,
when the model has become sure of something.

What to do:
Use the forms that torch has made safe: `cross_entropy`, `binary_cross_entropy_with_logits`, `logsumexp`, `log1p`, `norm`; or add an
epsilon inside the logarithm or the root.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, numbers, with_head
from fallline.signals import Unavailable, Window, behaviour, gradients, outputs, targets, trace

if TYPE_CHECKING:
    from torch import Tensor

    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss = window.read(behaviour.ENTRY)
    at_ends = loss.finite_at_ends is False
    found = ""
    try:
        seen = window.read(trace.ENTRY)
        calm = seen.run.losses and all(abs(value) < 1e3 * (abs(seen.run.losses[0]) + 1) for value in seen.run.losses if value == value)
        found = seen.first_bad if calm and (seen.first_bad or not seen.run.finite) else ""
    except Unavailable:
        pass
    first = ""
    try:
        seen_first = window.read(gradients.ENTRY)
        bad = [name for name, size in seen_first.largest.items() if size is not None and math.isinf(size)]
        first = bad[0] if bad and all(math.isfinite(value) for value in seen_first.losses[:1]) else ""
    except Unavailable:
        pass
    if first:
        evidence = (
            f"the gradient of {first} is NaN or inf on the first batches, before any update, while the loss is {seen_first.losses[0]:.4g}"
        )
        remedy = "look for sqrt, norm, log or a division that meets 0 behind it, and put an epsilon inside"
        return RULE.finding(evidence, remedy, place=first, severity="stop")
    if not at_ends and not found.startswith("the gradient"):
        return None
    evidence = "with outputs at the ends of what the model can say, the loss or its gradient is not finite" if at_ends else ""
    if found:
        evidence += "; " if evidence else ""
        evidence += f"in the watched run {found} was the first to be NaN or inf, while the loss had not exploded"
    remedy = "use a stable form: cross_entropy or binary_cross_entropy_with_logits on logits, logsumexp, or an epsilon inside log and sqrt"
    place = "loss" if at_ends else found.partition(" at update")[0]
    return RULE.finding(evidence, remedy, place=place, severity="stop" if found else "warn")


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))]


RULE = Rule(
    code="FL116",
    name="unstable_operation",
    title="Operation that gives NaN or inf at the end of its range",
    faults=("L16",),
    severity="warn",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL601"),
)


def _by_hand(epsilon: float) -> Problem:
    from torch import nn

    def loss(output: Tensor, target: Tensor) -> Tensor:
        return -(nn.functional.one_hot(target, 3) * (output + epsilon).log()).sum(dim=1).mean()

    return classes(model=lambda: with_head(nn.Softmax(dim=1)), loss=loss)


def _distance(epsilon: float) -> Problem:
    """How far two points are apart, some of which are the same."""
    import torch
    from torch import nn

    class Distance(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            apart: Tensor = self.map(x[:, :3]) - self.map(x[:, 3:])
            return (apart.square().sum(dim=1, keepdim=True) + epsilon).sqrt()

    x = torch.randn(480, 6, generator=torch.Generator().manual_seed(0))
    x[::5, 3:] = x[::5, :3]
    return numbers(model=Distance, train=(x, (x[:, :3] - x[:, 3:]).norm(dim=1, keepdim=True)), valid=None)


FIRES: Cases = {"log of probabilities by hand": lambda: _by_hand(0.0), "the root of a distance of 0": lambda: _distance(0.0)}
SILENT: Cases = {
    "with an epsilon": lambda: _by_hand(1e-7),
    "a root with an epsilon": lambda: _distance(1e-6),
    "cross-entropy": classes,
    "squared error": numbers,
}
