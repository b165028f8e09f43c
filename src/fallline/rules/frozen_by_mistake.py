"""Frozen weights that were never trained

How it is detected:
Frozen matrices are asked whether they look drawn rather than trained: with another seed the model's function gives other values, or the
values fill just the range of torch's own initialisation.

Why it matters:
Freezing is for weights that have learned something. A random layer that stays frozen passes on noise, and if the last layer is frozen too
nothing that matters can learn. Names that are matched by a substring freeze more than was meant.

What to do:
Set `requires_grad_(True)` on the new layers after the rest has been frozen, and print which parameters are trainable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, network
from fallline.signals import Window, frozen

if TYPE_CHECKING:
    from torch import nn

    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(frozen.ENTRY)
    if not seen.frozen:
        return None
    if not seen.trainable:
        evidence = f"all {len(seen.frozen)} parameters are frozen: nothing can be trained"
        return RULE.finding(evidence, "set requires_grad_(True) on what is to be trained", place="model")
    if not seen.drawn:
        return None
    share = seen.drawn_numbers / max(seen.numbers, 1)
    evidence = (
        f"{', '.join(seen.drawn[:3])} {'is' if len(seen.drawn) == 1 else 'are'} frozen at values that look drawn, not trained "
        f"({share:.0%} of the model's numbers); trainable are {seen.trainable_numbers:,} of {seen.numbers:,}"
    )
    grave = seen.last_drawn or share > 0.5
    remedy = "unfreeze the layers that are new: parameter.requires_grad_(True) after the rest is frozen"
    return RULE.finding(evidence, remedy, place=seen.drawn[-1], severity="stop" if grave else "warn", figures={"share": share})


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(frozen.ENTRY)
    # where all is frozen, or what is new: with the weight of a layer goes its bias
    paths = {name.rpartition(".")[0] for name in seen.drawn}
    return [optimizers.thawed([name for name in seen.frozen if name.rpartition(".")[0] in paths or not seen.trainable])]


RULE = Rule(
    code="FL210",
    name="frozen_by_mistake",
    title="Frozen weights that were never trained",
    faults=("M10",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL001", "FL301", "FL304", "FL305", "FL415", "FL605", "FL606"),
)


def _freezing(*kept: int) -> Problem:
    def model() -> nn.Module:
        made = network(3)
        for name, parameter in made.named_parameters():
            parameter.requires_grad_(int(name.split(".")[0]) in kept)
        return made

    return classes(model=model)


def _trained_body() -> Problem:
    import torch

    made = network(3)
    with torch.no_grad():
        for place in (0, 2):
            made[place].weight.mul_(3.0)  # type: ignore[index]  # beyond what torch draws, as training leaves it
            made[place].requires_grad_(False)  # type: ignore[index]  # a Sequential
    return classes(model=made)


FIRES: Cases = {"all but the first layer frozen": lambda: _freezing(0), "a random body frozen": lambda: _freezing(4)}
SILENT: Cases = {"nothing frozen": classes, "a trained body frozen under a new head": _trained_body}
