"""Softmax before a loss that has its own

How it is detected:
The untrained model's outputs lie in [0, 1] and sum to 1 over the classes, and adding a number to all classes of a case does not change
the loss, so the loss takes a softmax of its own. Both are measured, whatever the layers and the loss are called.

Why it matters:
The loss then reads probabilities as logits. With K classes it cannot fall below log(1 + (K - 1) / e), gradients shrink by the factor of
the second softmax, and the model stays unsure of everything, although accuracy may look passable.

What to do:
Take the softmax out of the model and keep it for reading predictions: `output.softmax(dim=1)`. Or keep it and use `NLLLoss` on
`log(output)`; `log_softmax` with `NLLLoss` is the same and stable.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import CLASSES, classes, network, with_head
from fallline.signals import Window, behaviour, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first, loss = window.read(outputs.ENTRY), window.read(behaviour.ENTRY)
    if not first.probabilities or loss.shift_invariant is not True:
        return None
    count = first.output.shape[1]
    floor = math.log(1 + (count - 1) / math.e)
    evidence = (
        f"the outputs sum to 1 over the {count} classes before anything is trained, and the loss takes a softmax again: it cannot fall "
        f"below {floor:.3f}, and stands at {loss.value or math.nan:.3f}"
    )
    remedy = "take the softmax out of the model, or use NLLLoss on the logarithm of its output"
    return RULE.finding(evidence, remedy, place="the model's output", figures={"floor": floor, "classes": count})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [losses.logarithm("log(output) given to the loss", "take the softmax out of forward, or use NLLLoss on log(output)")]


RULE = Rule(
    code="FL101",
    name="softmax_before_cross_entropy",
    title="Softmax before a loss that has its own",
    faults=("L01",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL306", "FL415", "FL603"),
)


def _functional() -> Problem:
    from torch import Tensor, nn

    class Squashed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).softmax(-1)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return classes(model=Squashed)


def _module() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.Softmax(dim=1)))


def _logarithm() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.LogSoftmax(dim=1)), loss=nn.NLLLoss())


def _logarithm_in_the_loss() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.Softmax(dim=1)), loss=lambda p, target: nn.NLLLoss()(p.clamp_min(1e-7).log(), target))


FIRES: Cases = {"a softmax module under cross-entropy": _module, "a softmax in forward under cross-entropy": _functional}
SILENT: Cases = {
    "logits under cross-entropy": classes,
    "log-probabilities under NLLLoss": _logarithm,
    "probabilities whose logarithm the loss takes": _logarithm_in_the_loss,
}
