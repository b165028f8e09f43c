"""Logits where the loss expects probabilities

How it is detected:
The loss is defined for outputs in [0, 1] and raises or gives NaN outside, and the model's head can leave that range, or has left it on
the first examples.

Why it matters:
`BCELoss` raises on the first batch with such an output. A loss written by hand with `log(p)` gives NaN, and everything after it is NaN.

What to do:
Use `BCEWithLogitsLoss` (or `cross_entropy` for classes) on the logits, or put a sigmoid behind the last layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import with_head, yes_no
from fallline.signals import Window, behaviour, head, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss, first = window.read(behaviour.ENTRY), window.read(outputs.ENTRY)
    if loss.refuses_outside is not True or first.probabilities:
        return None
    reach = window.read(head.ENTRY)
    if reach.is_within(0.0, 1.0):
        return None
    outside = float(((first.output < 0) | (first.output > 1)).double().mean())
    evidence = (
        f"{outside:.0%} of the untrained model's outputs lie outside [0, 1] (from {float(first.output.min()):.2f} to "
        f"{float(first.output.max()):.2f}), where the loss is not defined"
    )
    remedy = "use the form of the loss that takes logits, such as BCEWithLogitsLoss or cross_entropy, or end the model with a sigmoid"
    return RULE.finding(evidence, remedy, place="loss", figures={"outside": outside})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))]


RULE = Rule(
    code="FL103",
    name="logits_into_probability_loss",
    title="Logits where the loss expects probabilities",
    faults=("L03",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL001", "FL116", "FL601"),
)


def _logits() -> Problem:
    from torch import nn

    return yes_no(loss=nn.BCELoss())


def _probabilities() -> Problem:
    from torch import nn

    return yes_no(model=lambda: with_head(nn.Sigmoid(), 1), loss=nn.BCELoss())


FIRES: Cases = {"logits under BCELoss": _logits}
SILENT: Cases = {"probabilities under BCELoss": _probabilities, "logits under BCEWithLogitsLoss": yes_no}
