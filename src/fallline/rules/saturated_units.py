"""Units stuck at the ends of sigmoid or tanh

How it is detected:
Over 512 training examples, before and after the watched run: values of hidden sigmoid and tanh so near the ends that the slope is below a
tenth.

Why it matters:
A saturated unit passes hardly any gradient: what is before it learns slowly or not at all.

What to do:
Standardise the inputs, draw weights with xavier_uniform_, lower the learning rate, or use ReLU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, calls, units

if TYPE_CHECKING:
    from fallline._problem import Problem


MOST = 0.85  # DeepChecker's


def check(window: Window) -> Outcome:
    seen = window.read(units.ENTRY)
    for when, found in (("before training", seen.before), ("after the watched run", seen.after)):
        hidden = found[:-1] if len(found) > 1 else ()  # the last may be the output, which is right to be sure
        worst = max(hidden, key=lambda layer: layer.saturated, default=None)
        if worst is not None and worst.saturated >= MOST:
            evidence = f"{when} {worst.saturated:.0%} of the values of {worst.name} {worst.place} lie at its ends"
            remedy = "standardise the inputs and draw weights with xavier_uniform_, or use ReLU"
            return RULE.finding(evidence, remedy, place=worst.place, figures={"saturated": worst.saturated})
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(calls.ENTRY)
    feeding = {(call.source, call.source_place) for call in seen.named(*calls.WEIGHTED) if call.source in ("sigmoid", "tanh")}
    squashing = [call for call in seen.calls if (call.name, call.place) in feeding]
    scaled = [data.standardised_inputs(window.setup)] if window.setup.floats(window.setup.sample(rows=2)[0]) else []
    return [*scaled, layers.drawn_anew(), *([layers.rectified_instead(squashing)] if squashing else [])]


RULE = Rule(
    code="FL609",
    name="saturated_units",
    title="Units stuck at the ends of sigmoid or tanh",
    faults=("R05",),
    severity="warn",
    stage="symptom",
    check=check,
    changes=changes,
)


def _tanh(scale: float) -> Problem:
    import torch
    from torch import nn

    def model() -> nn.Module:
        made = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1))
        with torch.no_grad():
            made[0].weight.mul_(scale)  # type: ignore[operator]  # a Sequential
        return made

    return numbers(model=model)


FIRES: Cases = {"weights a hundred times too large": lambda: _tanh(100.0)}
SILENT: Cases = {"torch's own weights": lambda: _tanh(1.0), "ReLU": numbers}
