"""Frozen parameters in the optimizer

How it is detected:
Parameters with `requires_grad=False` are looked for in the optimizer's groups.

Why it matters:
torch passes over parameters without gradients, so mostly nothing happens. Where they were frozen during training, momentum and decay may
still move them, and the groups say something that is not so.

What to do:
Give the optimizer `[p for p in model.parameters() if p.requires_grad]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, Outcome, Rule
from fallline.rules._setups import classes, network
from fallline.signals import Window, parameters

if TYPE_CHECKING:
    from torch import nn

    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    sets = window.read(parameters.ENTRY)
    trainable = set(sets.trainable)
    stuck = tuple(name for name in sets.held if name not in trainable)
    if not stuck:
        return None
    evidence = f"{len(stuck)} frozen parameters ({', '.join(stuck[:3])}{', ...' if len(stuck) > 3 else ''}) are in the optimizer's groups"
    return RULE.finding(evidence, "give the optimizer only what is trainable", place=", ".join(stuck[:3]), figures={"frozen": len(stuck)})


RULE = Rule(
    code="FL305",
    name="frozen_parameters_in_optimizer",
    title="Frozen parameters in the optimizer",
    faults=("O05",),
    severity="info",
    stage="optimizer",
    check=check,
)


def _frozen() -> Problem:
    def model() -> nn.Module:
        made = network(3)
        made[0].requires_grad_(False)  # type: ignore[index]  # a Sequential
        return made

    return classes(model=model)


FIRES: Cases = {"a frozen layer in the groups": _frozen}
SILENT: Cases = {"nothing frozen": classes}
