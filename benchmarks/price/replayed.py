"""Our race on the records: the plans of fallline as pure functions of curves, so that a decision is judged on all tasks in a second.

The order of stages is spelled out once more here in a few lines, with the product's own policies, and compared with the product's own
race by tests/test_price_records.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from branched import Branched
from records import AUDIT, VALID, TaskRecords

from fallline import catalogue
from fallline._plan import shape_for
from fallline.policies import Decision, Policy, Standing
from fallline.policies.drop_behind import DropBehind
from fallline.policies.keep_best import KeepBest


@dataclass(frozen=True)
class Rules:
    """How a race goes: how many candidates, when they are judged and by what, how many go on."""

    recipes: int = 3
    losses: int = 1  # the first recipe again with so many other losses
    rung: float = 0.1
    finish: int = 2
    judged: str = "standing"  # standing: the best look, averaged weights where data are passed less than three times; now; best; averaged
    middle: float = 0.0  # a second rung
    middle_keep: int = 0
    weeding: float = shape_for(3.5).weeding  # where a finalist stops that is behind the leader; 0: nowhere
    behind: float = shape_for(3.5).behind  # by so much of the leader's lead
    second_seed: bool = True  # the baseline's second seed goes to rung one
    baseline_finishes: bool = True
    child: float = 0.0  # the leader at rung one goes on with so many times its lr too; where branches were recorded
    child_instead: bool = False  # of the last that goes on


@dataclass(frozen=True)
class Picked:
    """What a race handed back, and what it cost in plain trainings."""

    recipe: int  # -1: the baseline
    valid: float
    audit: float
    price: float


def race(task: TaskRecords, order: Sequence[int], rules: Rules, other_losses: Sequence[int] = (), base_seed: int = 0) -> Picked:
    """A race among the first recipes of `order` and the first of `other_losses`, beside a baseline."""
    field = [*order[: rules.recipes], *other_losses[: rules.losses]]
    price = rules.rung * (len(field) + rules.second_seed + 1)
    going = going_on(task, field, rules.rung, KeepBest(rules.middle_keep or rules.finish), rules)
    if isinstance(task, Branched):
        price += task.cooldown(rules.judged) * len(field)
        going = with_child(task, going, rules)
    reached = rules.rung
    if rules.middle_keep:
        price += (rules.middle - reached) * len(going)
        going, reached = going_on(task, going, rules.middle, KeepBest(rules.finish), rules), rules.middle
    if rules.weeding and rules.baseline_finishes and len(going) > 1:
        price += (rules.weeding - reached) * len(going)
        behind = DropBehind(rules.behind, task.base_at(base_seed, rules.weeding))
        going, reached = going_on(task, going, rules.weeding, behind, rules), rules.weeding
    price += (1 - reached) * len(going) + (1 - rules.rung) * rules.baseline_finishes
    ended = [(float(task.finals[recipe, VALID]), recipe) for recipe in going if np.isfinite(task.finals[recipe, VALID])]
    if rules.baseline_finishes or not ended:
        ended.append((float(task.default[base_seed, VALID]), -1))
    value, recipe = min(ended)
    audit = task.default[base_seed, AUDIT] if recipe < 0 else task.finals[recipe, AUDIT]
    return Picked(recipe, value, float(audit), price)


def with_child(task: Branched, going: list[int], rules: Rules) -> list[int]:
    """Who goes on, and a child of the leader at another lr."""
    child = task.child_of(going[0], rules.child) if rules.child and going else None
    if child is None:
        return going
    return [*(going[:-1] if rules.child_instead and len(going) > 1 else going), child]


def going_on(task: TaskRecords, field: Sequence[int], share: float, policy: Policy, rules: Rules) -> list[int]:
    """Who goes on at a rung, best first."""
    values = {recipe: standing(task, recipe, share, rules.judged) for recipe in field}
    standings = [
        Standing(f"{place:03d}", values[recipe] if np.isfinite(values[recipe]) else None, "", peaks_at(task, recipe) > share)
        for place, recipe in enumerate(field)
    ]
    decisions = policy.decide(standings)
    kept = [recipe for place, recipe in enumerate(field) if decisions[f"{place:03d}"] is Decision.CONTINUE]
    return sorted(kept, key=lambda recipe: (values[recipe], field.index(recipe)))


def peaks_at(task: TaskRecords, recipe: int) -> float:
    return catalogue.schedule(task.rows[recipe % len(task.rows)]["schedule"]["name"]).peaks_at


def standing(task: TaskRecords, recipe: int, share: float, judged: str) -> float:
    """What a rung compares."""
    if isinstance(task, Branched) and judged.startswith("cooled") and share == Rules().rung:
        return task.cooled(recipe, judged)
    twin = recipe if task.averages(recipe) else recipe + len(task.rows)
    if judged == "now":
        return task.at(recipe, share, best=False)
    if judged == "averaged" or (judged == "standing" and not task.keeps_best):
        return task.at(twin, share, best=False)
    if judged == "either":
        return min(task.at(twin, share, best=True), task.at(recipe, share, best=True))
    return task.at(recipe, share, best=True)


PLANS = {
    1.0: Rules(recipes=1, losses=0, finish=1, baseline_finishes=False, second_seed=False),
    2.0: Rules(recipes=2, losses=0, finish=1),
    3.5: Rules(),
    # further seeds, the child and rounds of draws are not replayed
    8.0: Rules(recipes=11, losses=4, finish=3, middle=0.3, middle_keep=6, weeding=0.5, behind=0.2),
    20.0: Rules(recipes=40, losses=4, finish=5, middle=0.3, middle_keep=11, weeding=0.5, behind=0.2),
}
