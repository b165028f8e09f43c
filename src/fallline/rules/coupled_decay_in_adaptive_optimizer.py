"""Weight decay that goes through Adam's division

How it is detected:
The optimizer takes one step with gradients of zero. Decoupled decay then takes lr times weight_decay of each weight; where the step has
the size of the lr whatever the weight, the decay went through the division by the gradient's size.

Why it matters:
In Adam, `weight_decay` is added to the gradient and divided with it: weights with small gradients are decayed hardest, and values that
are right for AdamW are far too strong.

What to do:
Use `AdamW`, or an l2 of 1e-5 to 1e-4 in Adam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, decay

if TYPE_CHECKING:
    from fallline._problem import Problem


STRONG = 1e-2  # what AdamW is usually given; as l2 in Adam it outweighs small gradients


def check(window: Window) -> Outcome:
    seen = window.read(decay.ENTRY)
    if not seen.coupled_adaptive or seen.largest < 1e-4:
        return None
    evidence = (
        f"with gradients of zero the weights still move by {seen.step_without_gradient:.2g} a step, the size of the lr: a weight_decay of "
        f"{seen.largest:g} goes through the division by the gradient's size"
    )
    severity = "warn" if seen.largest >= STRONG else "info"
    remedy = "use AdamW, or a much smaller weight_decay"
    return RULE.finding(evidence, remedy, place="optimizer", severity=severity, figures={"l2": seen.largest})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.decoupled_decay(), optimizers.scaled_option("weight_decay", 0.01)]


RULE = Rule(
    code="FL306",
    name="coupled_decay_in_adaptive_optimizer",
    title="Weight decay that goes through Adam's division",
    faults=("O06",),
    severity="info",
    stage="optimizer",
    check=check,
    changes=changes,
)


def _adam(decay: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=decay))


def _adamw() -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05))


FIRES: Cases = {"Adam with a weight_decay of 0.05": lambda: _adam(0.05)}
SILENT: Cases = {"AdamW with a weight_decay of 0.05": _adamw, "Adam without": numbers}
