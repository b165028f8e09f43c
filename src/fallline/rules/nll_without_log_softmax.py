"""Negative log-likelihood of what are no log-probabilities

How it is detected:
For class targets the loss is affine in the output, as `NLLLoss` is, and the exponentials of the outputs do not sum to 1 over the classes.

Why it matters:
The loss then just pushes one output up and has no floor: on logits it falls without end and weights grow, on probabilities it lies
between -1 and 0 and has almost no gradient where the model is wrong.

What to do:
End the model with `log_softmax(dim=1)`, or give the logits to `CrossEntropyLoss`, which does both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, with_head
from fallline.signals import Window, behaviour, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss, first = window.read(behaviour.ENTRY), window.read(outputs.ENTRY)
    if not first.classes or loss.affine is not True or loss.reads_target is False or first.log_probabilities:
        return None
    total = float(first.output.double().exp().sum(dim=1).mean())
    kind = "probabilities" if first.probabilities else "raw scores"
    evidence = f"the outputs are {kind}: their exponentials sum to {total:.2f} over the classes, not to 1, while the loss is linear in them"
    remedy = "put log_softmax(dim=1) behind the last layer in place of softmax, or use CrossEntropyLoss on the logits"
    return RULE.finding(evidence, remedy, place="loss", figures={"sum": total})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.log_softmax("log-probabilities given to the loss", "log_softmax(dim=1) at the end of forward")]


RULE = Rule(
    code="FL104",
    name="nll_without_log_softmax",
    title="Negative log-likelihood of what are no log-probabilities",
    faults=("L04",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL415", "FL601"),
)


def _probabilities() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.Softmax(dim=1)), loss=nn.NLLLoss())


def _logits() -> Problem:
    from torch import nn

    return classes(loss=nn.NLLLoss())


def _right() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.LogSoftmax(dim=1)), loss=nn.NLLLoss())


FIRES: Cases = {"softmax under NLLLoss": _probabilities, "logits under NLLLoss": _logits}
SILENT: Cases = {"log_softmax under NLLLoss": _right, "logits under cross-entropy": classes}
