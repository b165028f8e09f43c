"""Trainable weights that no optimizer updates

How it is detected:
The model's trainable parameters are compared with those in the optimizer's groups. For those that are missing it is asked whether they
look drawn at random; trained weights that are left out may be frozen on purpose.

Why it matters:
Groups that are put together by hand forget what is added later, most often the new head. Its weights get gradients and keep their random
values.

What to do:
Build the groups from `model.named_parameters()` and check that they cover it; or set `requires_grad_(False)` on what shall stay as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, network
from fallline.signals import Window, frozen, gradients, parameters

if TYPE_CHECKING:
    from torch import nn

    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    sets = window.read(parameters.ENTRY)
    if not sets.held:
        return NotApplicable("the optimizer holds nothing of this model")
    missing = sets.missing
    loose = tuple(name for name in sets.of_loss if name not in sets.of_loss_held)
    if not missing:
        if not loose:
            return None
        evidence = f"the loss has trainable parameters ({', '.join(loose[:3])}) that the optimizer does not hold"
        return RULE.finding(evidence, "give the optimizer the loss's parameters too", place=", ".join(loose[:3]), severity="warn")
    reached = window.read(gradients.ENTRY).largest
    missing = tuple(name for name in missing if reached.get(name) is not None)
    if not missing:
        return None
    drawn = frozen.drawn_names(window, missing)
    share = sets.count(missing) / max(sets.count(sets.trainable), 1)
    evidence = (
        f"{len(missing)} trainable parameters ({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}; {share:.1%} of the trainable "
        "numbers) get gradients from the loss and are in no group of the optimizer"
    )
    if drawn:
        evidence += f"; {drawn[-1]} looks drawn at random, so it is not kept because it has learned something"
    remedy = "add a group for them, or freeze them with requires_grad_(False) where they shall stay"
    place = ", ".join((drawn or missing)[:3])
    return RULE.finding(evidence, remedy, place=place, severity="stop" if drawn else "info", figures={"share": share})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.holding_all(), optimizers.holding_all(10.0)]


RULE = Rule(
    code="FL301",
    name="parameters_not_in_optimizer",
    title="Trainable weights that no optimizer updates",
    faults=("O01",),
    severity="stop",
    stage="optimizer",
    check=check,
    changes=changes,
    explains=("FL304", "FL305", "FL415", "FL605", "FL606"),
)


def _without_head() -> Problem:
    import torch

    def some(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam([parameter for name, parameter in model.named_parameters() if not name.startswith("4")], lr=3e-3)

    return classes(optimizer=some)


def _head_on_a_trained_body() -> Problem:
    import torch

    made = network(3)
    with torch.no_grad():
        for place in (0, 2):
            made[place].weight.mul_(3.0)  # type: ignore[index]  # beyond what torch draws, as training leaves it
    return classes(model=made, optimizer=torch.optim.Adam(made[4].parameters(), lr=3e-3))  # type: ignore[index]  # a Sequential


FIRES: Cases = {"groups without the head": _without_head}
SILENT: Cases = {"all parameters": classes, "a head on a body that is trained": _head_on_a_trained_body}
