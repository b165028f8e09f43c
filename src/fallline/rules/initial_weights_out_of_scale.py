"""Initial weights far too large or too small

How it is detected:
The outputs of the untrained model are compared with those of the same model after `reset_parameters()` on every layer, on standardised
inputs, and the loss with what the best constant answer would cost.

Why it matters:
Weights that are too large multiply from layer to layer: the first loss is in the thousands and the first steps are spent, or lost, on
undoing it. Too small, and signal and gradients fade before they reach the other end.

What to do:
torch's own initialisation, or `kaiming_normal_` before ReLU and `xavier_uniform_` before tanh; not `normal_()` with its standard
deviation of 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, network, numbers
from fallline.signals import Window, initial

if TYPE_CHECKING:
    from fallline._problem import Problem


TOO_LARGE = 20.0  # times the spread of the same model at torch's initialisation; trained weights come to 5 or 10
TOO_SMALL = 1e-3


def check(window: Window) -> Outcome:
    seen = window.read(initial.ENTRY)
    if seen.zeros or seen.born_dead:
        return None  # a head that starts at zero is right, and dead units are found by their own rule
    ratio = seen.spread / max(seen.usual_spread, 1e-12)
    if ratio > TOO_LARGE and seen.usual_spread > 0:
        evidence = (
            f"the untrained outputs spread by {seen.spread:.3g}, {ratio:.0f} times as much as with torch's initialisation of the same "
            f"layers ({seen.usual_spread:.3g}), and the first loss is {seen.loss:.4g} where it would be {seen.usual_loss:.4g}"
        )
    elif ratio < TOO_SMALL and seen.depth >= 2 and seen.first_gradient < 1e-3 * seen.usual_first_gradient:
        evidence = (
            f"the untrained outputs spread by {seen.spread:.2g}, {ratio:.1g} of what torch's initialisation of the same layers gives, and "
            f"the first layer's gradient is {seen.first_gradient / max(seen.usual_first_gradient, 1e-30):.1g} of it"
        )
    else:
        return None
    if seen.loss < 3 * seen.usual_loss and ratio > TOO_LARGE:
        return None
    remedy = "leave torch's initialisation, or use kaiming_normal_ before ReLU; normal_() has a standard deviation of 1"
    return RULE.finding(evidence, remedy, place=seen.widest, figures={"ratio": ratio, "loss": seen.loss})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.drawn_anew()]


RULE = Rule(
    code="FL204",
    name="initial_weights_out_of_scale",
    title="Initial weights far too large or too small",
    faults=("M04",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL301", "FL303", "FL304", "FL415", "FL506", "FL601", "FL603", "FL604", "FL605"),
)


def _drawn(std: float) -> Problem:
    from torch import nn

    def model() -> nn.Module:
        made = network(3, width=64)
        for module in made.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std)
        return made

    return classes(model=model)


FIRES: Cases = {"weights of standard deviation 1": lambda: _drawn(1.0), "weights of standard deviation 0.00001": lambda: _drawn(1e-5)}
SILENT: Cases = {"torch's own weights": classes, "weights of standard deviation 0.2": lambda: _drawn(0.2), "a regression": numbers}
