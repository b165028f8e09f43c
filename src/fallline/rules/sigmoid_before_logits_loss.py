"""Sigmoid before a loss that has its own

How it is detected:
Whatever the weights of the last layer, the output stays within [0, 1]; and for targets 0 and 1 the loss gets ever smaller as outputs grow
beyond 1 with the right sign, so it takes a sigmoid of its own.

Why it matters:
The second sigmoid maps [0, 1] to [0.5, 0.73]: no case can be called improbable, the loss has a floor near 0.5, and gradients are those of
a squashed number.

What to do:
Take the sigmoid out of the model and keep `BCEWithLogitsLoss`, which is stable; or keep the sigmoid and use `BCELoss`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import with_head, yes_no
from fallline.signals import Window, behaviour, head, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss = window.read(behaviour.ENTRY)
    if loss.wants_signs is not True:
        return None
    reach, first = window.read(head.ENTRY), window.read(outputs.ENTRY)
    if not reach.is_within(0.0, 1.0):
        return None
    low, high = float(first.output.min()), float(first.output.max())
    evidence = (
        f"outputs lie between {low:.3f} and {high:.3f} and cannot leave [0, 1], whatever the weights of {reach.place or 'the last layer'}; "
        "the loss takes a sigmoid again, and then reads them as probabilities between 0.50 and 0.73"
    )
    remedy = "take the sigmoid out of the model, or use BCELoss"
    return RULE.finding(evidence, remedy, place="the model's output", figures={"low": low, "high": high})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.log_odds("the log-odds of the output given to the loss", "take the sigmoid out of forward, or use BCELoss")]


RULE = Rule(
    code="FL102",
    name="sigmoid_before_logits_loss",
    title="Sigmoid before a loss that has its own",
    faults=("L02",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL306", "FL415"),
)


def _twice() -> Problem:
    from torch import nn

    return yes_no(model=lambda: with_head(nn.Sigmoid(), 1))


def _once() -> Problem:
    from torch import nn

    return yes_no(model=lambda: with_head(nn.Sigmoid(), 1), loss=nn.BCELoss())


FIRES: Cases = {"a sigmoid under BCEWithLogitsLoss": _twice}
SILENT: Cases = {"a logit under BCEWithLogitsLoss": yes_no, "a sigmoid under BCELoss": _once}
