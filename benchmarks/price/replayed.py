"""Our race on the records: the plans of fallline as pure functions of curves, so that a policy is judged on all tasks in a second.

What a plan does is spelled out once more here in a few lines and compared with the product's own race by tests/test_price_records.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from records import AUDIT, VALID, TaskRecords


@dataclass(frozen=True)
class Policy:
    """How a race goes: how many candidates, when they are judged and by what, how many go on."""

    recipes: int = 4
    losses: int = 1  # the first recipe again with so many other losses
    rung: float = 0.1
    finish: int = 2
    judged: str = "standing"  # standing: best look so far, averaged weights where data are passed less than three times; now; averaged
    middle: float = 0.0  # a second rung
    middle_keep: int = 0
    seed_at_rung: bool = True  # the baseline's second seed to rung one
    drop_at: float = 0.0  # a finalist that is behind by `drop_by` of the leaders' spread at this share stops there
    drop_by: float = math.inf


@dataclass(frozen=True)
class Picked:
    """What a race handed back, and what it cost in plain trainings."""

    recipe: int  # -1: the baseline
    valid: float
    audit: float
    price: float


def race(task: TaskRecords, order: Sequence[int], policy: Policy, other_losses: Sequence[int] = (), base_seed: int = 0) -> Picked:
    """A race among the first recipes of `order` and the first of `other_losses`, beside a baseline that is trained to its end."""
    field = [*order[: policy.recipes], *other_losses[: policy.losses]]
    price = 1.0 + (policy.rung if policy.seed_at_rung else 0.0) + policy.rung * len(field)
    scores = {recipe: standing(task, recipe, policy.rung, policy.judged) for recipe in field}
    going = sorted((recipe for recipe in field if np.isfinite(scores[recipe])), key=lambda recipe: (scores[recipe], field.index(recipe)))
    last = policy.rung
    if policy.middle_keep:
        going = going[: policy.middle_keep]
        price += (policy.middle - policy.rung) * len(going)
        scores = {recipe: standing(task, recipe, policy.middle, policy.judged) for recipe in going}
        going = sorted((recipe for recipe in going if np.isfinite(scores[recipe])), key=lambda recipe: scores[recipe])
        last = policy.middle
    going = going[: policy.finish]
    if policy.drop_at and len(going) > 1:
        now = {recipe: standing(task, recipe, policy.drop_at, policy.judged) for recipe in going}
        best = min(now.values())
        kept = [recipe for recipe in going if now[recipe] <= best + policy.drop_by * abs(best)]
        price -= (1 - policy.drop_at) * (len(going) - len(kept))
        going = kept or going[:1]
    price += (1 - last) * len(going)
    ended = [(float(task.finals[recipe, VALID]), recipe) for recipe in going if np.isfinite(task.finals[recipe, VALID])]
    ended.append((float(task.default[base_seed, VALID]), -1))
    value, recipe = min(ended)
    audit = task.default[base_seed, AUDIT] if recipe < 0 else task.finals[recipe, AUDIT]
    return Picked(recipe, value, float(audit), price)


def standing(task: TaskRecords, recipe: int, share: float, judged: str) -> float:
    """What a rung compares."""
    twin = recipe + len(task.rows) if recipe < len(task.rows) else recipe
    if judged == "now":
        return task.at(recipe, share, best=False)
    if judged == "averaged" or (judged == "standing" and not task.keeps_best):
        return task.at(twin, share, best=False)
    if judged == "either":
        return min(task.at(twin, share, best=True), task.at(recipe, share, best=True))
    return task.at(recipe, share, best=True)


PLANS = {
    1.0: Policy(recipes=1, losses=0, finish=1),
    2.0: Policy(recipes=2, losses=1, finish=1),
    3.5: Policy(),
    8.0: Policy(recipes=8, losses=2, finish=2, middle=0.3, middle_keep=4),
}


def at_price_one(task: TaskRecords, order: Sequence[int]) -> Picked:
    """The portfolio's first, the baseline to rung one only."""
    first = order[0]
    return Picked(first, float(task.finals[first, VALID]), float(task.finals[first, AUDIT]), 1.1)


def with_rung(policy: Policy, rung: float) -> Policy:
    return replace(policy, rung=rung)
