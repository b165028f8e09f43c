"""Loss or weights become NaN or inf

How it is detected:
Losses, gradients and weights of the watched run are looked at for values that are not finite; the first is named.

Why it matters:
From there on nothing is learned. It is a symptom: of a learning rate too high, of unscaled data, of a logarithm of zero.

What to do:
Look at the findings above it. `torch.autograd.set_detect_anomaly(True)` names the operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if seen.run.finite and not seen.first_bad:
        return None
    place = next((place for place, loss in enumerate(seen.run.losses) if loss != loss or abs(loss) == float("inf")), None)
    evidence = seen.first_bad + " is the first that is not finite" if seen.first_bad else f"the loss is not finite at update {place}"
    return RULE.finding(
        evidence, "find the cause among the other findings; set_detect_anomaly(True) names the operation", place="training", step=place
    )


RULE = Rule(
    code="FL601",
    name="loss_not_finite",
    title="Loss or weights become NaN or inf",
    faults=("R01",),
    severity="stop",
    stage="symptom",
    check=check,
)


def _sgd(lr: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=lr))


FIRES: Cases = {"SGD at 100": lambda: _sgd(100.0)}
SILENT: Cases = {"SGD at 0.01": lambda: _sgd(0.01), "Adam": numbers}
