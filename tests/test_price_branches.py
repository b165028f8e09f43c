"""Branches of benchmarks/price: children and cooldowns are recipes of their own, and the race replays them at their price."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def branched(price: dict[str, ModuleType]) -> Any:
    """A task with branches."""
    found = price["branched"].branched(price["records"].load(rows=price["records"].FIRST_BLOCK))
    assert len(found) >= 16
    return found["california"]


def parents(task: Any, factor: float) -> list[int]:
    return [recipe for recipe in range(2 * len(task.rows)) if task.child_of(recipe, factor) is not None]


def test_a_child_is_its_parent_up_to_rung_one_and_another_training_after_it(price: dict[str, ModuleType], branched: Any) -> None:
    for factor in price["branched"].FACTORS:
        some = parents(branched, factor)
        assert some
        for recipe in some:
            child = branched.child_of(recipe, factor)
            assert branched.averages(child) == branched.averages(recipe)
            assert child % len(branched.rows) == recipe % len(branched.rows)
            at_rung = [branched.at(k, 0.1, best=False) for k in (recipe, child)]
            assert at_rung[0] == at_rung[1]
            assert branched.at(child, 1.0) != branched.at(recipe, 1.0)


def test_a_third_of_the_lr_and_three_times_are_two_children(price: dict[str, ModuleType], branched: Any) -> None:
    low, high = price["branched"].FACTORS
    recipe = parents(branched, low)[0]
    assert branched.child_of(recipe, low) != branched.child_of(recipe, high)
    assert branched.child_of(branched.child_of(recipe, low), high) is None, "a child has none"


@pytest.mark.parametrize("instead", [False, True])
def test_a_race_finds_a_child_that_is_best_and_pays_for_it(price: dict[str, ModuleType], branched: Any, instead: bool) -> None:
    replayed = price["replayed"]
    factor = price["branched"].FACTORS[0]
    leader = min(parents(branched, factor), key=lambda recipe: replayed.standing(branched, recipe, 0.1, "standing"))
    behind = [k for k in range(len(branched.rows)) if k != leader % len(branched.rows) and math.isfinite(branched.at(k, 1.0))]
    behind = [k for k in behind if replayed.standing(branched, k, 0.1, "standing") > replayed.standing(branched, leader, 0.1, "standing")]
    child = branched.child_of(leader, factor)
    finals = branched.finals.copy()
    finals[child] = finals[np.isfinite(finals).all(1)].min() - 1.0
    planted = replace(branched)
    planted.__dict__["finals"] = finals
    rules = replayed.Rules(recipes=3, losses=0, weeding=0.0)
    order = [leader, *behind[:2]]
    without = replayed.race(planted, order, rules)
    found = replayed.race(planted, order, replace(rules, child=factor, child_instead=instead))
    assert found.recipe == child != without.recipe
    assert found.price == pytest.approx(without.price + (0.0 if instead else 0.9))


def test_a_cooldown_costs_every_candidate_its_steps_and_judges_by_what_it_gave(price: dict[str, ModuleType], branched: Any) -> None:
    replayed = price["replayed"]
    order = list(range(5))
    plain, cooled = (replayed.Rules(recipes=5, losses=0, judged=judged) for judged in ("standing", "cooled 0.02"))
    prices = [replayed.race(branched, order, replace(rules, weeding=0.0)).price for rules in (plain, cooled)]
    assert prices[1] == pytest.approx(prices[0] + 5 * 0.02)
    number = price["branched"].COOLED.index(0.02)
    for recipe in order:
        value = branched.sign * branched.cooldowns[recipe, number]
        assert replayed.standing(branched, recipe, 0.1, "cooled 0.02") == (value if math.isfinite(value) else math.inf)


def test_records_with_branches_replay_the_race_that_records_without_do(
    price: dict[str, ModuleType], records: dict[str, Any], branched: Any
) -> None:
    for rules in price["replayed"].PLANS.values():
        order = [k for k, row in enumerate(branched.rows) if row["loss"] == 0]
        assert price["replayed"].race(branched, order, rules) == price["replayed"].race(records["california"], order, rules)


def test_races_that_would_stop_on_valid_say_what_they_say_by_the_products_arithmetic(
    price: dict[str, ModuleType], records: dict[str, Any]
) -> None:
    early, task = price["early"], records["letter"]
    generator = np.random.default_rng(0)
    best = [early.told(task, early.the_best(task, 0.01, generator)) for _ in range(20)]
    assert all(assumed for assumed, _, _ in best), "ten times what another seed does"
    nothing = [race for race in (early.nothing_to_find(task, 0.01, generator) for _ in range(20)) if race is not None]
    assert nothing
    assert not any(early.told(task, race)[0] for race in nothing)
    for race in nothing:
        assert race.winner[0] <= race.base[0], "the winner is the best on valid"
