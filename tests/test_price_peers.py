"""The peers of benchmarks/price, and what their comparison rests on: one range test, a portfolio held out, races with nothing to find."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from test_price_records import LENGTH, setting

from fallline._constraints import Constraints
from fallline._planning import make_plan
from fallline._portfolio import Facts, name_of
from fallline._prior import _moved_lr, candidates
from fallline._recipe import Frame


def test_a_live_race_with_nothing_to_find_differs_from_its_plan_in_seeds_alone(price: dict[str, ModuleType]) -> None:
    plan = make_plan(setting(), price=3.5, seed=7, constraints=Constraints())
    null = price["null_live"].nothing_to_find(plan)
    seeds = [candidate.recipe.seed for candidate in null.candidates]
    assert replace(null, candidates=plan.candidates) == plan
    assert len(seeds) == len(plan.candidates) == len({*seeds, 7, 8}) - 2, "the baseline's own seeds are no candidate's"
    assert max(seeds) < 7 + price["null_live"].APART
    assert {replace(candidate.recipe, seed=7) for candidate in null.candidates} == {plan.baseline}


def test_the_peer_of_one_range_test_is_the_nearest_recipe_and_has_no_more_to_do(
    price: dict[str, ModuleType], records: dict[str, Any]
) -> None:
    ranged = price["ranged"]
    assert set(ranged.suggested()) == set(records)
    for name, task in records.items():
        tested = ranged.STEPS / task.facts["length"]
        for seed, lr in enumerate(ranged.suggested()[name][ranged.RULE]):
            curve = ranged.replayed(task, seed)
            assert np.isnan(curve.at(tested)), "the test alone hands back nothing"
            ended = curve.at(1 + tested)
            assert ended == curve.at(20), "after its training it is flat"
            recipes = [k for k in ranged.like_it(task) if task.finals[k, 1] == ended]
            decades = {k: abs(np.log10(task.lr_of(k) / lr)) for k in ranged.like_it(task)}
            assert min(decades, key=lambda k: decades[k]) in recipes
            assert all(task.rows[k]["optimizer"]["name"] == "adamw" and task.rows[k]["schedule"]["name"] == "cosine" for k in recipes)


@pytest.mark.parametrize("falls_at", [1e-4, 1e-2])
def test_an_lr_range_test_suggests_an_lr_below_the_one_of_least_loss(price: dict[str, ModuleType], falls_at: float) -> None:
    ranged = price["ranged"]
    lrs = ranged.rates()
    assert lrs[0] == pytest.approx(1e-7)
    assert lrs[-1] == pytest.approx(10)
    away = np.log10(np.array(lrs) / falls_at)
    losses = list(1 - 1 / (1 + np.exp(-4 * away)) + 5 * np.clip(away - 1.5, 0, None) ** 2)
    found = {rule: ranged.suggestion(lrs, losses, rule) for rule in ranged.RULES}
    least = lrs[int(np.argmin(ranged.smoothed(losses)))]
    assert found["a tenth of the lr of least loss"] == pytest.approx(least / 10)
    assert falls_at <= found["steepest descent"] < 10 * falls_at, "where it falls, a little late for the smoothing"
    assert lrs[0] < found["valley"] < least
    assert ranged.suggestion(lrs[:12], losses[:12]) == ranged.OTHERWISE, "a test that broke off says nothing"


def test_a_race_strange_to_a_task_has_the_list_that_never_saw_its_family(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    prior = price["prior"]
    whole, among = prior.known(records), prior.eligible(records)
    here = setting()
    frame = Frame(500, 0, 20, 0)

    def raced() -> list[str]:
        return [c.name for c in candidates(here.problem, here.profile, here.judge, Constraints(), frame, count=4, second_losses=0)]

    before = raced()
    for name, task in records.items():
        held = prior.unseen_among(records, whole, name, among)
        assert not [other for other in held.tasks if records[other].facts["family"] == task.facts["family"]]
        facts = Facts.read(task.facts)
        assert [among[k] for k in held.order(facts, prior.SIZE)] == prior.held_out(records, whole, name, among)
        with prior.strange_to(records, whole, name, among):
            mine = Facts.of(here.profile)
            factors = held.lr_factors(mine, frame.steps, here.profile.fan_in)
            assert raced() == [name_of(_moved_lr(held.recipes[k], factors[held.families[k]])) for k in held.order(mine, 4)]
    assert raced() == before


def test_a_long_program_goes_on_behind_a_line_that_a_kill_cut_short(price: dict[str, ModuleType], tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    path.write_text('{"task": "a", "seed": 0, "metric": 1.5}\n{"task": "a", "se', encoding="utf-8")
    cells = price["cells"].Cells(path, ("task", "seed"))
    assert cells.has(task="a", seed=0)
    assert not cells.has(task="a", seed=1)
    cells.add({"task": "a", "seed": 1, "metric": 2.5})
    again = price["cells"].Cells(path, ("task", "seed"))
    assert [cell["metric"] for cell in again.all] == [1.5, 2.5]


def test_what_is_enqueued_lies_in_the_space_that_optuna_draws_from(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    optuna = pytest.importorskip("optuna")
    prior, space = price["prior"], importlib.import_module("studies").Space()
    whole = prior.known(records)
    study = optuna.create_study()
    for recipe in prior.eligible(records):
        row = whole.recipes[recipe]
        asked = space.nearest(row, LENGTH)
        study.enqueue_trial(asked)
        trial = study.ask()
        found = space.suggested(trial)
        assert trial.params == asked, "Optuna draws anew what it does not know"
        assert found["optimizer"]["name"] == row["optimizer"]["name"]
        assert found["schedule"]["name"] == row["schedule"]["name"]
        assert ("average" in found) == ("average" in row)
