"""Gradients vanish on the way to the first layers

How it is detected:
The root mean square of the gradient of the first matrix is compared with that of the last, before training, and with what torch's own
initialisation gives; the first layer must have stayed where it was in the watched run.

Why it matters:
The first layers stand still, and the rest learns on what they happen to give.

What to do:
ReLU in place of sigmoid and tanh, a norm between layers, residual connections, He initialisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, numbers
from fallline.signals import Window, calls, gradients, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


FADED = 1e-4


def check(window: Window) -> Outcome:
    seen = window.read(gradients.ENTRY)
    matrices = [name for name, value in seen.scale.items() if name.endswith("weight") and value == value]
    if len(matrices) < 3:
        return NotApplicable("fewer than three layers")
    first, last = seen.scale[matrices[0]], seen.scale[matrices[-1]]
    if last == 0 or first > FADED * last:
        return None
    run = window.read(trace.ENTRY)
    now = dict(run.made.model.named_parameters())[matrices[0]].detach()
    moved = float((now - run.before[matrices[0]]).norm() / run.before[matrices[0]].norm().clamp_min(1e-12))
    if moved > 0.01 and run.end < 0.7 * run.start:
        return None
    evidence = (
        f"the gradient of {matrices[0]} is {first / last:.1g} of that of {matrices[-1]}, and it moved by {moved:.1g} of its size in "
        f"{run.run.updates} updates"
    )
    remedy = "use ReLU or GELU, a norm between layers, or residual connections"
    return RULE.finding(
        evidence, remedy, place=matrices[0], figures={"ratio": first / last, "moved": moved}, severity="stop" if moved < 1e-4 else "warn"
    )


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(calls.ENTRY)
    feeding = {(call.source, call.source_place) for call in seen.named(*calls.WEIGHTED) if call.source in ("sigmoid", "tanh", "softmax")}
    squashing = [call for call in seen.calls if (call.name, call.place) in feeding]
    return [*([layers.rectified_instead(squashing)] if squashing else []), layers.drawn_anew()]


RULE = Rule(
    code="FL603",
    name="gradients_vanish",
    title="Gradients vanish on the way to the first layers",
    faults=("R03",),
    severity="warn",
    stage="symptom",
    check=check,
    changes=changes,
)


def _deep(name: str) -> Problem:
    import torch
    from torch import nn

    def model() -> nn.Module:
        layers: list[nn.Module] = [nn.Linear(6, 16)]
        for _ in range(10):
            layers += [getattr(nn, name)(), nn.Linear(16, 16)]
        return nn.Sequential(*layers, nn.Linear(16, 1))

    return numbers(model=model, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01))


FIRES: Cases = {"ten sigmoids": lambda: _deep("Sigmoid")}
SILENT: Cases = {"two layers of ReLU": numbers, "classes": classes}
