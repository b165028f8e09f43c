"""The portfolio's lrs are moved to a problem's length and width, by powers that were measured, and no farther in width than they were."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import fallline
from fallline import catalogue
from fallline._constraints import Constraints
from fallline._planning import make_plan
from fallline._portfolio import FARTHEST, LENGTH_POWER, LR_STEPS, NEAR, SHORTEST, Facts, length_factor, name_of, portfolio
from fallline._prior import Candidate, _moved_lr, candidates, draws
from fallline._recipe import Frame
from fallline._setting import prepare

MLP = Facts("mlp", values=True, passes=True, normalised=False)


def entered(steps: int = LR_STEPS, width: int = 64, count: int = 6, **fixed: Any) -> list[Candidate]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 8, generator=generator)
    problem = fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0)),
        train=(x, x.sum(1)), metric="mae", epochs=10, batch_size=64,
    )  # fmt: skip
    here = prepare(problem)
    kept, frame = Constraints.of(fixed, None), Frame(steps, 0, 20, 0)
    return candidates(here.problem, here.profile, here.judge, kept, frame, count=count, second_losses=0)


def usual_width() -> float:
    held = portfolio()
    return math.exp(float(held.weights(MLP) @ np.log(held.fans)))


@given(st.floats(1 / NEAR, NEAR))
def test_lr_stays_where_the_width_is_near_those_of_recorded_tasks_alike_and_the_length_that_of_the_portfolio(width: float) -> None:
    held = portfolio()
    factors = held.lr_factors(MLP, LR_STEPS, width * usual_width())
    assert set(factors) == set(held.families)
    assert list(factors.values()) == pytest.approx([1.0] * len(factors))


@given(st.integers(1, 1_000_000), st.floats(1.0, 1e6))
def test_lr_is_moved_by_the_measured_powers_and_in_width_no_farther_than_was_measured(steps: int, fan_in: float) -> None:
    held = portfolio()
    far = math.log(fan_in / usual_width())
    ratio = math.exp(math.copysign(min(max(abs(far) - math.log(NEAR), 0.0), math.log(FARTHEST / NEAR)), far))
    for family, factor in held.lr_factors(MLP, steps, fan_in).items():
        by_length = (max(steps, SHORTEST) / LR_STEPS) ** LENGTH_POWER
        assert factor == pytest.approx(by_length * ratio ** held.width_exponent.get(family, 0.0))


def test_longer_trainings_and_wider_layers_have_smaller_lrs() -> None:
    assert portfolio().width_exponent["adaptive"] < 0
    short, long = entered(steps=300), entered(steps=3000)
    narrow, wide = entered(width=8), entered(width=1024)
    for less, more in ((long, short), (wide, narrow)):
        pairs = [(a.recipe, b.recipe) for a, b in zip(less, more, strict=True) if a.recipe.family == "adaptive"]
        assert pairs
        assert all(a.lr < b.lr for a, b in pairs if a.lr and b.lr)


def test_what_is_recorded_of_a_task_was_trained_with_the_lr_that_the_product_would_take(
    records: dict[str, Any],
) -> None:
    held, compared = portfolio(), 0
    recipes = {row["optimizer"]["name"] for row in held.recipes}
    for task in records.values():
        steps, fan_in = int(task.facts["length"]), float(task.facts["fan_in"])
        factors = held.lr_factors(Facts.read(task.facts), steps, fan_in)
        if factors["adaptive"] != length_factor(steps):  # the product moves it by width too, which no record was
            continue
        for place, row in enumerate(task.rows):
            if row.get("moves") and row["optimizer"]["name"] in recipes:
                factor = factors[catalogue.optimizer(row["optimizer"]["name"]).family]
                assert task.lr_of(place) == pytest.approx(row["optimizer"]["lr"] * factor, rel=0.05)
                compared += 1
    assert compared > 20 * 30, "recipes, on tasks whose width is near those alike"


def test_twice_the_length_means_two_thirds_of_the_lr_and_short_trainings_share_one() -> None:
    assert length_factor(LR_STEPS) == 1.0
    assert length_factor(2 * LR_STEPS) == pytest.approx(0.66, abs=0.005)
    assert length_factor(1) == length_factor(SHORTEST) == pytest.approx(2.06, abs=0.005)


def test_lr_goes_with_the_updates_that_a_plan_makes_not_with_its_batches() -> None:
    x = torch.randn(2000, 4)
    problem = fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 1), nn.Flatten(0)), train=(x, x.sum(1)), metric="mae",
        epochs=60, batch_size=20,
    )  # fmt: skip
    plain, gathered = (make_plan(prepare(replace(problem, accumulate=count)), price=3.5, constraints=Constraints()) for count in (1, 4))
    assert plain.length == pytest.approx(4 * gathered.length, rel=0.05)
    longer = length_factor(plain.length) / length_factor(gathered.length)
    for few, many in zip(gathered.candidates, plain.candidates, strict=True):
        assert few.recipe.lr is not None
        assert many.recipe.lr is not None
        assert many.recipe.lr / few.recipe.lr == pytest.approx(longer, rel=0.06)


def test_a_recipe_whose_lr_the_user_fixed_is_called_by_that_lr() -> None:
    for candidate in entered(3000, lr=0.0123):
        assert "-0.012" in candidate.name
        assert "moved for" not in candidate.reason


def test_a_moved_recipe_is_called_by_its_own_lr_and_says_so() -> None:
    for candidate in entered(steps=3000):
        lr = candidate.recipe.lr
        assert lr is not None
        assert f"-{lr:.2g}" in candidate.name or f"-{lr:.3g}" in candidate.name
        assert "at 1000 steps, moved for 3000" in candidate.reason


def test_lr_times_decay_stays_as_it_was_recorded_whether_a_row_holds_it_so_or_not() -> None:
    for row in portfolio().recipes:
        for factor in (0.4, 1.0, 2.5):
            entry = catalogue.optimizer(row["optimizer"]["name"])
            before, after = ({**entry.defaults(), **one["optimizer"]} for one in (row, _moved_lr(row, factor)))
            assert after["lr"] == pytest.approx(before["lr"] * factor, rel=0.01)
            if "shrinkage" not in row and "weight_decay" in before:
                assert after["lr"] * after["weight_decay"] == pytest.approx(before["lr"] * before["weight_decay"], rel=0.02)
            assert _moved_lr(row, factor).get("shrinkage") == row.get("shrinkage")


@settings(max_examples=25)  # forty candidates each
@given(st.sampled_from([1, 300, 900, 1100, 5000, 10**6]), st.sampled_from([2, 16, 700, 2000]))
def test_candidates_never_share_a_name_however_far_their_lrs_are_moved(steps: int, width: int) -> None:
    names = [candidate.name for candidate in entered(steps, width=width, count=40)]
    assert len(names) == len(set(names))


def test_a_draw_around_an_lr_beyond_the_range_may_stay_there() -> None:
    leader = next(c for c in entered() if c.recipe.optimizer.name == "adamw")
    far = replace(leader, recipe=leader.recipe.with_lr(0.1))
    drawn = [candidate.recipe.lr for candidate in draws([far], 40, seed=0)]
    assert len(set(drawn)) == 40, "none is cut to an end of the range"
    assert max(lr for lr in drawn if lr is not None) > catalogue.optimizer("adamw").space["lr"].high  # type: ignore[operator]  # it has one


def test_an_lr_that_the_user_fixed_is_not_moved() -> None:
    assert {candidate.recipe.lr for candidate in entered(3000, width=512, lr=0.003)} == {0.003}


def test_fan_in_is_the_geometric_mean_over_weights_of_the_inputs_of_a_unit() -> None:
    x = torch.randn(600, 8)
    problem = fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(8, 4), nn.LayerNorm(4), nn.Linear(4, 1), nn.Flatten(0)),
        train=(x, x.sum(1)), metric="mae", epochs=2,
    )  # fmt: skip
    found = prepare(problem).profile.fan_in
    assert found == pytest.approx(math.exp((32 * math.log(8) + 4 * math.log(4)) / 36))


def test_names_tell_optimizer_schedule_lr_and_average() -> None:
    row = {"optimizer": {"name": "adamw", "lr": 0.00123}, "schedule": {"name": "one_cycle"}}
    assert name_of(row) == "adamw-one-cycle-0.0012"
    assert name_of({**row, "average": {"share": 0.01}}, digits=3) == "adamw-one-cycle-0.00123-averaged"


def test_a_profile_without_layers_moves_nothing_by_width() -> None:
    held = portfolio()
    plain = replace(held, width_exponent={})
    assert held.lr_factors(MLP, 500, 0.0) == plain.lr_factors(MLP, 500, 100.0)
