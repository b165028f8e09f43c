"""Optimizer holds tensors that the model does not have

How it is detected:
The tensors in the optimizer's groups are compared, one by one, with the model's parameters. Tensors that are neither the model's nor the
loss's are left over from a module that was replaced, copied or moved after the optimizer was built.

Why it matters:
The optimizer updates weights that no forward pass uses, and the weights that are used stay where they are. Nothing raises; the loss
just does not fall, or falls by what the remaining parameters can do.

What to do:
Build the optimizer last: after layers are replaced, after `copy.deepcopy`, after `.to(device)` where that makes new parameters, and after a
checkpoint is loaded into a new module. Where two models share one optimizer on purpose, this finding can be passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, network
from fallline.signals import Window, parameters

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(parameters.ENTRY)
    if not seen.strangers:
        return None
    elements, missing = sum(seen.strangers), seen.missing
    evidence = f"{len(seen.strangers)} of the optimizer's tensors ({elements:,} numbers) belong to neither the model nor the loss"
    if missing:
        evidence += f", while {len(missing)} trainable parameters of the model, {missing[0]} among them, are not in the optimizer"
    figures = {"strangers": len(seen.strangers), "missing": len(missing)}
    remedy = "build the optimizer from the model that is trained, after its last layer is in place: optimizer = Optim(model.parameters())"
    return RULE.finding(evidence, remedy, place=", ".join(missing[:3]) or "optimizer", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.over_the_model()]


RULE = Rule(
    code="FL302", name="stale_optimizer", title="Optimizer holds tensors that the model does not have", faults=("O02",), severity="stop",
    stage="optimizer", check=check, changes=changes, explains=("FL301", "FL606"),
)  # fmt: skip


def _built_for_another() -> Problem:
    import torch

    other = network(3)
    return classes(optimizer=lambda model: torch.optim.Adam(other.parameters(), lr=1e-3))


def _replaced_head() -> Problem:
    import torch
    from torch import nn

    model = network(5)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model[4] = nn.Linear(24, 3)  # type: ignore[operator]  # a Sequential
    return classes(model=model, optimizer=optimizer)


FIRES: Cases = {"the optimizer of another model": _built_for_another, "a head replaced after the optimizer was built": _replaced_head}
SILENT: Cases = {"the optimizer of this model": classes}
