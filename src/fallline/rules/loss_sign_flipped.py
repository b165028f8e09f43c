"""The loss prefers wrong answers

How it is detected:
The loss is asked about outputs that say the target, and about the same outputs exchanged between cases. Smaller for the exchanged ones
means that it rewards error. A negative gradient arriving at the loss, or an optimizer with `maximize=True`, is the same fault elsewhere.

Why it matters:
Training works, downwards and well, away from the target. The loss falls while every metric gets worse.

What to do:
Take the minus sign away, or put the missing one in: a similarity that should grow is minimised as its negative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, loops, losses, optimizers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Unavailable, Window, behaviour, parameters, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss = window.read(behaviour.ENTRY)
    if loss.truth is None or loss.lies is None or loss.reads_target is False or loss.paired is False:
        return NotApplicable("the loss cannot be asked about outputs that say the target")
    told = f"{loss.truth:.4g} for outputs that say the target and {loss.lies:.4g} for the same outputs exchanged between cases"
    flipped = loss.truth > loss.lies + 1e-6 * abs(loss.lies)
    upward = any(group.get("maximize") for group in window.read(parameters.ENTRY).groups)
    turned, place = False, "optimizer" if upward else "loss"
    if not upward:
        try:
            scales = window.read(trace.ENTRY).run.scales
        except Unavailable:
            scales = []
        turned = bool(scales) and max(scales) < 0
    if flipped == (upward or turned):
        return None
    if turned:
        evidence = f"the loop goes backward through minus the loss, which is {told}"
        return RULE.finding(evidence, "call backward on the loss itself", place="loop")
    evidence = f"the optimizer maximises (maximize=True) a loss that is {told}" if upward else f"the loss is {told}: less is worse"
    remedy = "leave maximize out" if upward else "minimise the negative: flip the sign of the loss"
    return RULE.finding(evidence, remedy, place=place, figures={"truth": loss.truth, "lies": loss.lies})


def changes(window: Window, finding: Finding) -> list[Change]:
    if finding.place == "loop":
        return [loops.plain()]
    return [optimizers.descending() if finding.place == "optimizer" else losses.negated()]


RULE = Rule(
    code="FL113",
    name="loss_sign_flipped",
    title="The loss prefers wrong answers",
    faults=("L13",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL308", "FL415", "FL601"),
)


def _negative() -> Problem:
    from torch import nn

    return numbers(loss=lambda output, target: -nn.functional.mse_loss(output, target))


def _likelihood() -> Problem:
    return classes(loss=lambda output, target: output.log_softmax(dim=1).gather(1, target[:, None]).mean())


def _similarity() -> Problem:
    from torch import nn

    return numbers(loss=lambda output, target: -nn.functional.cosine_similarity(output.T, target.T).mean())


FIRES: Cases = {"minus the squared error": _negative, "a log-likelihood that is minimised": _likelihood}
SILENT: Cases = {"a squared error": numbers, "minus a similarity": _similarity}
