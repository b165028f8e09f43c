"""Predictions change from call to call

How it is detected:
The same examples are passed twice in eval mode, with other random draws. Where outputs differ, a dropout that is called in training mode
is looked for. A dropout probability of 0.8 and more is a finding of its own.

Why it matters:
`F.dropout(x)` is always on unless it is given `training=self.training`. Predictions are then noisy, validation too, and the noise stays
in production.

What to do:
`nn.Dropout` as a module, or `F.dropout(x, p, training=self.training)`. Usual probabilities are 0.1 to 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window, calls, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


NOISE = 1e-3  # of the outputs' spread
HIGH = 0.8


def check(window: Window) -> Outcome:
    first = window.read(outputs.ENTRY)
    if first.difference > NOISE:
        on = [call for call in window.read(calls.ENTRY).named("dropout") if call.training]
        evidence = f"two passes of the same examples in eval mode differ by {first.difference:.2g} of the outputs' spread"
        if on:
            evidence += f"; the dropout in {on[0].place or 'forward'} is called in training mode"
            remedy = "use nn.Dropout, or give F.dropout training=self.training"
            return RULE.finding(evidence, remedy, place=on[0].place or "forward", figures={"difference": first.difference})
        remedy = "where sampling in forward is meant, turn it off in eval mode with self.training; else look for layers made in forward"
        return RULE.finding(evidence, remedy, place="forward", severity="info", figures={"difference": first.difference})
    from torch import nn

    model = window.setup.make().model
    high = {path: part.p for path, part in model.named_modules() if isinstance(part, nn.modules.dropout._DropoutNd) and part.p >= HIGH}
    if not high:
        return None
    path, p = max(high.items(), key=lambda item: item[1])
    evidence = f"{path} drops {p:.0%} of its inputs; what is left is mostly noise"
    return RULE.finding(evidence, "try 0.1 to 0.5", place=path, severity="warn", figures={"p": p})


def changes(window: Window, finding: Finding) -> list[Change]:
    if "p" in finding.figures:
        return [layers.dropout_of(0.5), layers.dropout_of(0.2)]  # Srivastava et al. (2014): 0.5 for hidden units, 0.2 for inputs
    on = [call for call in window.read(calls.ENTRY).named("dropout") if call.training]
    return [layers.dropout_in_training_alone(on)] if on else []


RULE = Rule(
    code="FL207",
    name="random_in_eval_mode",
    title="Predictions change from call to call",
    faults=("M07",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL411",),
)


def _dropped(always: bool) -> Problem:
    from torch import Tensor, nn

    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.out = network(16), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(nn.functional.dropout(self.body(x), 0.3, training=always or self.training))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Dropped)


def _nearly_all() -> Problem:
    from torch import nn

    return numbers(model=lambda: nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Dropout(0.9), nn.Linear(64, 1)))


FIRES: Cases = {"F.dropout without training": lambda: _dropped(True), "a dropout of 0.9": _nearly_all}
SILENT: Cases = {"F.dropout with training=self.training": lambda: _dropped(False), "no dropout": numbers}
