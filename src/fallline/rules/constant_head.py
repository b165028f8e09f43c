"""Head that can say one thing only

How it is detected:
With random weights of any size in the last layer the output is always the same number, as a softmax over a single unit gives 1; or a loss
of classes is given a single class.

Why it matters:
No weight can change the prediction, so no gradient reaches any weight. The loss is a constant and accuracy is the share of one class.

What to do:
One unit with `BCEWithLogitsLoss` and no activation, or as many units as classes with `CrossEntropyLoss`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import with_head, yes_no
from fallline.signals import Window, behaviour, calls, head, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first = window.read(outputs.ENTRY)
    if first.classes and first.output.shape[1] == 1:
        evidence = "the model has one output for a loss over classes: its softmax is 1 for every case, and the loss 0 whatever the weights"
        remedy = "give the model one output a class, or use BCEWithLogitsLoss with targets of 0.0 and 1.0"
        return RULE.finding(evidence, remedy, place="head")
    reach = window.read(head.ENTRY)
    if not reach.constant:
        return None
    single = [call for call in window.read(calls.ENTRY).named("softmax", "log_softmax") if call.size == 1]
    because = f": {single[-1].name} runs over a dimension of size 1" if single else ""
    evidence = f"the output is {reach.low:g} for every case and for any weights of {reach.place or 'the last layer'}{because}"
    remedy = "take the softmax off a single unit and use BCEWithLogitsLoss, or give the model one unit a class"
    return RULE.finding(evidence, remedy, place=single[-1].place if single else "the model's output", figures={"output": reach.low})


def changes(window: Window, finding: Finding) -> list[Change]:
    single = [call for call in window.read(calls.ENTRY).named("softmax", "log_softmax") if call.size == 1]
    if not single:
        return []
    inside = window.read(behaviour.ENTRY).wants_signs is True  # the loss takes a sigmoid of its own
    return [layers.passed_over(single) if inside else layers.sigmoid_instead(single)]


RULE = Rule(
    code="FL108",
    name="constant_head",
    title="Head that can say one thing only",
    faults=("L08",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL101", "FL102", "FL109", "FL110", "FL209", "FL303", "FL304", "FL415", "FL506"),
)


def _single() -> Problem:
    from torch import nn

    return yes_no(model=lambda: with_head(nn.Softmax(dim=1), 1), loss=nn.BCELoss())


FIRES: Cases = {"softmax over one unit": _single}
SILENT: Cases = {"one logit": yes_no}
