"""Output range cannot reach the targets

How it is detected:
The last layer's weights are replaced by random ones, larger and larger: where the output stops growing lies the head's range. Targets
outside of it are counted.

Why it matters:
A sigmoid, tanh or ReLU at the end cuts off what it cannot reach: the error on those cases never goes away, and the units behind it are
driven into saturation, where gradients vanish.

What to do:
End a regression with a plain linear layer, or scale the targets into the head's range and scale predictions back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows, with_head
from fallline.signals import Window, behaviour, calls, head, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


SHARE = 0.01  # of the targets: single outliers may lie outside


def check(window: Window) -> Outcome:
    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    if first.output.numel() != first.target.numel() or not first.target.is_floating_point() or loss.wants_signs or loss.affine:
        return None
    reach, values = window.read(head.ENTRY), window.read(targets.ENTRY).train
    if reach.constant:
        return None
    room = 1e-3 * max(values.high - values.low, 1e-12)  # a target of exactly 1 under a sigmoid is reached in the limit
    outside = float(((first.target < reach.low - room) | (first.target > reach.high + room)).double().mean())
    if outside < SHARE:
        return None
    evidence = (
        f"{outside:.0%} of the targets, which go from {values.low:.4g} to {values.high:.4g}, lie outside "
        f"[{reach.low:.4g}, {reach.high:.4g}], the range of the output whatever the weights of {reach.place or 'the last layer'}"
    )
    remedy = "end the model with the linear layer, without an activation, or scale the targets into its range"
    return RULE.finding(evidence, remedy, place="the model's output", figures={"outside": outside, "low": reach.low, "high": reach.high})


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(calls.ENTRY)
    last = [call for call in seen.named(seen.last) if call.place == seen.last_place and seen.last not in calls.WEIGHTED]
    return [layers.passed_over(last)] if last else []


RULE = Rule(
    code="FL109",
    name="head_cannot_reach_targets",
    title="Output range cannot reach the targets",
    faults=("L09",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL415", "FL502", "FL506", "FL605"),
)


def _behind(name: str, **more: object) -> Problem:
    from torch import nn

    return numbers(model=lambda: with_head(getattr(nn, name)(), 1), **more)


def _positive() -> Problem:
    splits = {name: (x, (y * 0.5).exp()) for name, (x, y) in (("train", rows(ROWS, 1)), ("valid", rows(VALID_ROWS, 2)))}
    return _behind("Softplus", **splits)


FIRES: Cases = {"a sigmoid on targets around 0": lambda: _behind("Sigmoid"), "a ReLU on targets of both signs": lambda: _behind("ReLU")}
SILENT: Cases = {"a linear head": numbers, "softplus on positive targets": _positive}
