"""Units that can never differ

How it is detected:
A layer's units all have the same weights, and on the first batches they all get the same gradient. Zero weights alone are no fault: a
last layer, a residual branch or a low-rank adapter may start at zero, and their gradients differ.

Why it matters:
Equal weights with equal gradients stay equal for ever: a layer of any width is one unit. With zeros in two layers in a row nothing but
the last bias ever moves.

What to do:
Leave torch's initialisation, or draw at random: `nn.init.kaiming_normal_(weight)`. Constants are for biases and norms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window, gradients

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(gradients.ENTRY)
    if not seen.twins:
        return None
    evidence = f"all units of {', '.join(seen.twins[:3])} have equal weights and get equal gradients, so each layer is one unit for ever"
    remedy = "draw the weights at random: reset_parameters(), or nn.init.kaiming_normal_ for layers before a ReLU"
    return RULE.finding(evidence, remedy, place=seen.twins[0], figures={"layers": len(seen.twins)})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.drawn_anew()]


RULE = Rule(
    code="FL203",
    name="identical_units",
    title="Units that can never differ",
    faults=("M03",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL204", "FL304", "FL415", "FL603", "FL604", "FL605", "FL606"),
)


def _constant(value: float) -> Problem:
    from torch import nn

    def model() -> nn.Module:
        made = network()
        for module in made.modules():
            if isinstance(module, nn.Linear):
                nn.init.constant_(module.weight, value)
                nn.init.zeros_(module.bias)
        return made

    return numbers(model=model)


def _zero_head() -> Problem:
    from torch import nn

    def model() -> nn.Module:
        made = network()
        nn.init.zeros_(made[4].weight)  # type: ignore[index]  # a Sequential
        return made

    return numbers(model=model)


FIRES: Cases = {"all weights 0": lambda: _constant(0.0), "all weights 0.1": lambda: _constant(0.1)}
SILENT: Cases = {"random weights": numbers, "zeros in the last layer only": _zero_head}
