"""Loss summed over the batch

How it is detected:
The loss of a batch given twice is twice the loss. Where the watched run diverges or fails, it is run again with the learning rate divided
by the batch size, which is what a mean would amount to.

Why it matters:
Gradients grow with the batch, so the learning rate means something else at every batch size: with 256 cases and SGD it is 256 times too
large. Optimizers that divide by the size of the gradient, such as Adam, hardly notice.

What to do:
`reduction="mean"`, or divide by the number of cases; or divide the learning rate by the batch size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Unavailable, Window, behaviour, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss = window.read(behaviour.ENTRY)
    if loss.growth is None or not 1.8 < loss.growth < 2.2 or loss.affine:
        return None
    size = window.setup.batch_size
    evidence = f"the loss of a batch given twice is {loss.growth:.2f} times as large: it is summed over its {size} cases"
    remedy = 'average over the cases: reduction="mean", or divide the loss by the number of cases'
    figures = {"growth": loss.growth, "batch": float(size)}
    quiet = RULE.finding(evidence, remedy, place="loss", severity="info", figures=figures)
    try:
        seen, tries = window.read(trace.ENTRY), window.read(reruns.ENTRY)
        if not seen.diverged and seen.end < 0.5 * seen.start:
            return quiet
        with_mean = tries.lr(1 / size)
    except Unavailable:
        return quiet
    far_better = with_mean.gain > max(0.5 * abs(with_mean.start), 2 * (seen.start - seen.end))
    if with_mean.finite and (far_better or (seen.diverged and with_mean.gain > 0)):
        evidence += f"; the run ends at {seen.end:.3g} from {seen.start:.3g}, with the lr divided by {size} at {with_mean.end:.3g}"
        return RULE.finding(evidence, remedy, place="loss", figures=figures)
    return quiet


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.averaged()]


RULE = Rule(
    code="FL112",
    name="summed_loss",
    title="Loss summed over the batch",
    faults=("L12",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL601", "FL604"),
)


def _summed(lr: float) -> Problem:
    import torch
    from torch import nn

    optimizer = lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)  # noqa: E731
    return numbers(loss=nn.MSELoss(reduction="sum"), optimizer=optimizer)


FIRES: Cases = {"a sum that makes SGD diverge": lambda: _summed(0.03)}
SILENT: Cases = {"a mean": numbers}
