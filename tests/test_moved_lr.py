"""The portfolio's lrs are moved to a problem's batch size and width, by powers that were measured, and no farther than they were."""

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
from fallline._portfolio import FARTHEST, NEAR, Facts, name_of, portfolio
from fallline._prior import Candidate, _moved_lr, candidates, draws
from fallline._recipe import Frame
from fallline._setting import prepare

MLP = Facts("mlp", values=True, passes=True, normalised=False)
STEPS = 1000


def entered(batch: int, width: int = 64, accumulate: int = 1, count: int = 6, **fixed: Any) -> list[Candidate]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 8, generator=generator)
    problem = fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1), nn.Flatten(0)),
        train=(x, x.sum(1)), metric="mae", epochs=10, batch_size=batch, accumulate=accumulate,
    )  # fmt: skip
    here = prepare(problem)
    kept, frame = Constraints.of(fixed, None), Frame(STEPS, 0, 20, 0)
    return candidates(here.problem, here.profile, here.judge, kept, frame, count=count, second_losses=0)


def usual(sizes: tuple[float, ...]) -> float:
    held = portfolio()
    return math.exp(float(held.weights(MLP) @ np.log(sizes)))


@given(st.floats(1 / NEAR, NEAR), st.floats(1 / NEAR, NEAR))
def test_lr_stays_where_batch_and_width_are_near_those_of_recorded_tasks_alike(batch: float, width: float) -> None:
    held = portfolio()
    factors = held.lr_factors(MLP, round(batch * usual(held.batches)), width * usual(held.fans))
    assert set(factors) == set(held.families)
    assert list(factors.values()) == pytest.approx([1.0] * len(factors), abs=0.02)


@given(st.integers(1, 100_000), st.floats(1.0, 1e6))
def test_lr_is_moved_by_the_measured_power_and_no_farther_than_was_measured(batch: int, fan_in: float) -> None:
    held = portfolio()
    away = [math.log(size / usual(sizes)) for size, sizes in ((batch, held.batches), (fan_in, held.fans))]
    ratios = [math.exp(math.copysign(min(max(abs(far) - math.log(NEAR), 0.0), math.log(FARTHEST / NEAR)), far)) for far in away]
    for family, factor in held.lr_factors(MLP, batch, fan_in).items():
        powers = [exponents.get(family, 0.0) for exponents in (held.batch_exponent, held.width_exponent)]
        expected = math.prod(ratio**power for ratio, power in zip(ratios, powers, strict=True))
        assert factor == pytest.approx(expected)


def test_larger_steps_have_a_larger_lr_wider_layers_a_smaller_one() -> None:
    held = portfolio()
    assert held.batch_exponent["adaptive"] > 0 > held.width_exponent["adaptive"]
    small, large = entered(8), entered(512)
    narrow, wide = entered(64, width=8), entered(64, width=1024)
    for less, more in ((small, large), (wide, narrow)):
        pairs = [(a.recipe, b.recipe) for a, b in zip(less, more, strict=True) if a.recipe.family == "adaptive"]
        assert pairs
        assert all(a.lr < b.lr for a, b in pairs if a.lr and b.lr)


def test_batches_that_are_accumulated_count_as_one_step() -> None:
    assert [c.recipe.lr for c in entered(128, accumulate=4)] == pytest.approx([c.recipe.lr for c in entered(512)], rel=0.02)


def test_a_moved_recipe_is_called_by_its_own_lr_and_says_so() -> None:
    recorded = {row["name"]: row for row in portfolio().recipes}
    moved = [c for c in entered(512) if c.name not in recorded]
    assert moved, "a batch of 512 is far from what was recorded"
    for candidate in moved:
        lr = candidate.recipe.lr
        assert lr is not None
        assert f"-{lr:.2g}" in candidate.name or f"-{lr:.3g}" in candidate.name
        assert "recorded with lr" in candidate.reason


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
@given(st.sampled_from([1, 4, 16, 300, 512, 2048]), st.sampled_from([2, 16, 700, 2000]))
def test_candidates_never_share_a_name_however_far_their_lrs_are_moved(batch: int, width: int) -> None:
    names = [candidate.name for candidate in entered(batch, width=width, count=40)]
    assert len(names) == len(set(names))


def test_a_draw_around_an_lr_beyond_the_range_may_stay_there() -> None:
    leader = next(c for c in entered(64) if c.recipe.optimizer.name == "adamw")
    far = replace(leader, recipe=leader.recipe.with_lr(0.1))
    drawn = [candidate.recipe.lr for candidate in draws([far], 40, seed=0)]
    assert len(set(drawn)) == 40, "none is cut to an end of the range"
    assert max(lr for lr in drawn if lr is not None) > catalogue.optimizer("adamw").space["lr"].high  # type: ignore[operator]  # it has one


def test_an_lr_that_the_user_fixed_is_not_moved() -> None:
    assert {candidate.recipe.lr for candidate in entered(512, width=512, lr=0.003)} == {0.003}


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
    assert held.lr_factors(MLP, 8, 0.0) == plain.lr_factors(MLP, 8, 100.0)
