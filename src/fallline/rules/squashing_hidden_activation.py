"""Softmax or a stack of sigmoids inside the model

How it is detected:
The functions of one forward pass are followed: a softmax whose result goes straight into a layer with weights, or three or more sigmoids
one after another with layers between. Attention and gates, whose results are multiplied with something, are passed over.

Why it matters:
A softmax leaves a layer whose units sum to 1: each gets about 1/width, differences vanish, and gradients with them. A sigmoid's slope is
at most a quarter, so each layer of them divides the gradient by four or more.

What to do:
ReLU, GELU or SiLU in hidden layers; softmax and sigmoid only where something is read as a probability or used as a gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, calls

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(calls.ENTRY)
    weighted = seen.named(*calls.WEIGHTED)
    softmax = [call for call in weighted if call.source == "softmax"]
    if softmax:
        place = softmax[0].source_place or "forward"
        evidence = f"the softmax at {place} goes straight into {softmax[0].place or 'a layer'}: its units sum to 1 and can hardly differ"
        return RULE.finding(evidence, "use ReLU, GELU or SiLU between layers", place=place, figures={"softmax": len(softmax)})
    sigmoids = [call for call in weighted if call.source == "sigmoid"]
    if len(sigmoids) >= 3:
        evidence = f"{len(sigmoids)} layers take their input from a sigmoid, each of which divides gradients by at least four"
        place = sigmoids[0].source_place or "forward"
        return RULE.finding(evidence, "use ReLU, GELU or SiLU between layers", place=place, figures={"sigmoids": len(sigmoids)})
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(calls.ENTRY)
    name = "softmax" if "softmax" in finding.figures else "sigmoid"
    feeding = {call.source_place for call in seen.named(*calls.WEIGHTED) if call.source == name}
    return [layers.rectified_instead(call for call in seen.named(name) if call.place in feeding)]


RULE = Rule(
    code="FL206",
    name="squashing_hidden_activation",
    title="Softmax or a stack of sigmoids inside the model",
    faults=("M06",),
    severity="warn",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL603", "FL605", "FL606"),
)


def _between(name: str) -> Problem:
    from torch import nn

    act = (lambda: nn.Softmax(dim=1)) if name == "Softmax" else getattr(nn, name)
    return numbers(
        model=lambda: nn.Sequential(nn.Linear(6, 24), act(), nn.Linear(24, 24), act(), nn.Linear(24, 24), act(), nn.Linear(24, 1)),
    )


def _gated() -> Problem:
    from torch import Tensor, nn

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.out = nn.Linear(6, 24), nn.Linear(6, 24), nn.Linear(24, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.a(x) * self.b(x).softmax(dim=1) * 24)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Gated)


FIRES: Cases = {"softmax between layers": lambda: _between("Softmax"), "sigmoids between layers": lambda: _between("Sigmoid")}
SILENT: Cases = {"ReLU between layers": lambda: _between("ReLU"), "tanh": lambda: _between("Tanh"), "a softmax as a gate": _gated}
