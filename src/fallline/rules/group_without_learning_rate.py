"""Learning rates of groups out of proportion

How it is detected:
The learning rates of the optimizer's groups are read: one of 0 that no schedule raises, or two groups that are more than 10,000 times
apart.

Why it matters:
A group at 0 is frozen without saying so. A factor that was applied twice leaves a part of the model standing still, or blows it up.

What to do:
Set each group's lr; a factor of 10 to 100 between body and head is usual.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, parameters

if TYPE_CHECKING:
    from torch import nn

    from fallline._problem import Problem


APART = 1e4


def check(window: Window) -> Outcome:
    groups = [group for group in window.read(parameters.ENTRY).groups if group["names"]]
    rates = [float(group.get("initial_lr", group["lr"])) for group in groups]
    raised = window.setup.problem.scheduler is not None or window.setup.problem.loop is not None
    still = [group for group, rate in zip(groups, rates, strict=True) if rate == 0]
    if still and (not raised or any("initial_lr" in group for group in still)):
        names = [name for group in still for name in group["names"] if name]
        evidence = f"{len(still)} of {len(groups)} groups have lr 0 ({len(names)} parameters, {', '.join(names[:2])} among them)"
        return RULE.finding(evidence, "set their lr", place=", ".join(names[:3]) or "optimizer", figures={"groups": len(still)})
    positive = [rate for rate in rates if rate > 0]
    if len(positive) > 1 and max(positive) / min(positive) > APART:
        evidence = (
            f"the groups' learning rates go from {min(positive):g} to {max(positive):g}, a factor of {max(positive) / min(positive):.0f}"
        )
        return RULE.finding(evidence, "bring them within a factor of 100", place="optimizer", severity="warn")
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.levelled_groups()]


RULE = Rule(
    code="FL314",
    name="group_without_learning_rate",
    title="Learning rates of groups out of proportion",
    faults=("O14",),
    severity="stop",
    stage="optimizer",
    check=check,
    changes=changes,
    explains=("FL304", "FL414", "FL415", "FL606"),
)


def _groups(first: float) -> Problem:
    import torch

    def build(model: nn.Module) -> torch.optim.Optimizer:
        named = dict(model.named_parameters())
        body = [named[name] for name in named if name[0] != "4"]
        head = [named[name] for name in named if name[0] == "4"]
        groups: list[dict[str, Any]] = [{"params": body, "lr": first}, {"params": head}]
        return torch.optim.Adam(groups, lr=3e-3)

    return numbers(optimizer=build)


FIRES: Cases = {"a body at lr 0": lambda: _groups(0.0), "a body at 1e-9": lambda: _groups(1e-9)}
SILENT: Cases = {"a body at a tenth of the head": lambda: _groups(3e-4), "one group": numbers}
