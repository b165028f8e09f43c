"""The records of benchmarks/price: what is replayed is the race that runs, the portfolio is what they say, and the guide shows them."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import fallline
from fallline._budget import Clock
from fallline._constraints import Constraints
from fallline._entered import BASELINE
from fallline._plan import SHAPES
from fallline._planning import make_plan
from fallline._portfolio import Facts, portfolio
from fallline._prior import candidates
from fallline._race import Race
from fallline._recipe import Frame
from fallline._run import Run
from fallline._setting import Setting, prepare
from fallline.engines import Trial
from fallline.engines.replay import Record, Replay

ROOT = Path(__file__).resolve().parents[1]
LENGTH = 1000
PRICE = ("records", "replayed", "prior", "null", "null_live", "ranged", "cells", "build_prior", "build_guide")


@pytest.fixture(scope="module")
def price() -> Iterator[dict[str, ModuleType]]:
    """The modules of benchmarks/price and tools, which are no package."""
    path, folders = list(sys.path), [str(ROOT / "benchmarks" / "price"), str(ROOT / "tools")]
    sys.path[:0] = folders
    yield {name: importlib.import_module(name) for name in PRICE}
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(Path(getattr(module, "__file__", None) or "nowhere").parent) in folders:
            del sys.modules[name]


@pytest.fixture(scope="module")
def records(price: dict[str, ModuleType]) -> dict[str, Any]:
    return price["records"].load()  # type: ignore[no-any-return]  # a module found by its name


def setting() -> Setting:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 4, generator=generator)
    return prepare(
        fallline.Problem(model=lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), train=(x, x.sum(1)), metric="mae", epochs=50)
    )


def test_every_task_has_all_recipes_of_the_space_and_more_seeds_of_its_best(records: dict[str, Any]) -> None:
    assert len(records) >= 16
    assert {task.facts["family"] for task in records.values()} == {"table", "image", "text", "recurrent"}
    for task in records.values():
        assert len(task.rows) == 80
        assert task.recorded.all(), f"{task.name} lacks {(~task.recorded).sum()} recipes"
        assert np.isfinite(task.default).all()
        assert len(task.reference) == 5


@pytest.mark.parametrize("name", ["california", "letter", "names_gru"])
def test_a_replayed_race_is_the_race_that_runs(price: dict[str, ModuleType], records: dict[str, Any], name: str, tmp_path: Path) -> None:
    task, replayed = records[name], price["replayed"]
    assert task.keeps_best
    order = [k for k, row in enumerate(task.rows) if row["loss"] == 0][:5]
    here = setting()
    plan = make_plan(here, price=3.5, constraints=Constraints())
    schedule = {k: here_part(task.rows[k]["schedule"]["name"]) for k in order}
    entered = tuple(
        replace(plan.candidates[0], name=f"r{k}", recipe=replace(plan.candidates[0].recipe, schedule=schedule[k], steps=LENGTH))
        for k in order
    )
    base = replace(plan.baseline, steps=LENGTH)
    plan = replace(plan, length=LENGTH, rungs=(LENGTH // 10,), candidates=entered, baseline=base, shadow_decay=None)
    engine = Replay(lambda trial: recorded(task, trial), lanes=2)
    race = Race(plan, here.bench(plan), engine, Run.create("replayed", tmp_path / "run"), Clock(), lambda _: None)
    race.run()
    picked = replayed.race(task, order, replayed.Rules(recipes=5, losses=0))
    best = race.finished()[0]
    assert best.trial.name == (BASELINE if picked.recipe < 0 else f"r{picked.recipe}")
    assert best.value == pytest.approx(picked.valid)
    steps = sum(m.steps for entry in race.entered.values() for m in entry.measured)
    assert steps / LENGTH == pytest.approx(picked.price)


def here_part(name: str) -> Any:
    from fallline import catalogue
    from fallline._recipe import Part

    return Part(name, catalogue.schedule(name).defaults())


def recorded(task: Any, trial: Trial) -> Record:
    """A training as it was recorded, lower is better, the best look so far where the best is kept."""
    candidate, _, seed = trial.name.partition("@")
    shares = [share for share in task.looks if share > 0.04]
    if candidate == BASELINE:
        values = [task.base_at(int(seed or 0), share) for share in shares]
    else:
        values = [task.at(int(candidate[1:]), share) for share in shares]
    return Record(tuple(round(share * LENGTH) for share in shares), tuple(values))


def test_the_portfolio_holds_what_the_records_say(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    build = price["build_prior"]
    whole = build.known(records)
    among = build.eligible(records, extra=True)
    assert (ROOT / "src" / "fallline" / "portfolio.toml").read_text(encoding="utf-8") == build.written(records, whole, among)


def test_the_order_is_greedy_and_begins_with_the_best_for_tasks_like_this() -> None:
    held = portfolio()
    for facts in dict.fromkeys(held.facts):
        order = held.order(facts, 6)
        alone = held.weights(facts) @ held.regret
        assert len(set(order)) == 6
        assert alone[order[0]] <= alone.min() + 0.1, "only its cost may put another first"
        left = [held.left(facts, order[: count + 1]) for count in range(6)]
        assert left == sorted(left, reverse=True)


def test_likeness_weighs_tasks_of_the_same_kind_of_model_most() -> None:
    held = portfolio()
    here = Facts("recurrent", values=False, passes=True, normalised=False)
    weights = dict(zip(held.tasks, held.weights(here), strict=True))
    assert max(weights, key=lambda name: weights[name]) == "names_gru"
    assert sum(weights.values()) == pytest.approx(1.0)


def test_candidates_are_recipes_that_can_run_here_each_with_its_reason_and_source() -> None:
    here = setting()
    frame = Frame(500, 0, 20, 0)
    found = candidates(here.problem, here.profile, here.judge, Constraints(), frame, count=6, second_losses=1)
    assert len({candidate.name for candidate in found}) == len(found) >= 6
    assert all("recorded tasks" in candidate.source for candidate in found)
    assert all(candidate.reason for candidate in found)
    decays = [float(c.recipe.optimizer.settings.get("weight_decay", 0.0)) for c in found]  # type: ignore[arg-type]  # a decay is a number
    assert all(0 <= decay < 50 for decay in decays)


def test_shrinkage_is_decay_that_carries_over_to_another_length() -> None:
    here = setting()
    by_length = [
        candidates(here.problem, here.profile, here.judge, Constraints(), Frame(steps, 0, 20, 0), count=8, second_losses=0)
        for steps in (500, 5000)
    ]
    shrunk = [
        (short.recipe.optimizer.settings["weight_decay"], long.recipe.optimizer.settings["weight_decay"])
        for short, long in zip(*by_length, strict=True)
        if "weight_decay" in short.recipe.optimizer.settings
    ]
    assert any(short == pytest.approx(10 * long, rel=0.01) and short > 0 for short, long in shrunk)


def test_equal_recipes_are_called_better_in_at_most_one_race_of_twenty(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    rates = price["null"].rates(records, 1800)
    assert np.mean([counts["better"] for counts in rates.values()]) <= 0.05


def test_a_live_race_with_nothing_to_find_differs_from_its_plan_in_seeds_alone(price: dict[str, ModuleType]) -> None:
    plan = make_plan(setting(), price=3.5, seed=7, constraints=Constraints())
    null = price["null_live"].nothing_to_find(plan)
    seeds = [candidate.recipe.seed for candidate in null.candidates]
    assert replace(null, candidates=plan.candidates) == plan
    assert len(seeds) == len(plan.candidates) == len({*seeds, 7, 8}) - 2, "the baseline's own seeds are no candidate's"
    assert max(seeds) < 7 + price["null_live"].APART
    assert {replace(candidate.recipe, seed=7) for candidate in null.candidates} == {plan.baseline}


def test_the_guide_shows_what_the_records_say(price: dict[str, ModuleType]) -> None:
    guide = price["build_guide"]
    found = guide.tables()
    for name, chinese in guide.PAGES.items():
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert guide.filled(text, found, chinese=chinese) == text, "run tools/build_guide.py"


def test_every_plan_of_the_product_has_its_replayed_twin(price: dict[str, ModuleType]) -> None:
    plans = price["replayed"].PLANS
    for shape in SHAPES:
        if shape.price in plans:
            rules = plans[shape.price]
            assert (rules.recipes, rules.losses, rules.finish, rules.middle_keep) == (
                shape.recipes, shape.second_losses, shape.finish, shape.middle_keep,
            )  # fmt: skip
            assert bool(rules.halfway and rules.finish > 1) == shape.halfway


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
            decades = {k: abs(np.log10(task.rows[k]["optimizer"]["lr"] / lr)) for k in ranged.like_it(task)}
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
        assert [among[k] for k in held.order(facts, 16)] == prior.held_out(records, whole, name, among)
        with prior.strange_to(records, whole, name, among):
            assert raced() == [held.recipes[k]["name"] for k in held.order(Facts.of(here.profile), 4)]
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


def test_rows_trained_again_replace_what_was_recorded_of_them_and_nothing_else(price: dict[str, ModuleType], tmp_path: Path) -> None:
    held = price["records"].load()
    name, before = next((name, task) for name, task in held.items() if len(task.more))
    place = int(before.more[0, 0])
    renewed = [[[[1.5] * before.raw.shape[3]] * 2] * looks for looks in (before.raw.shape[1], before.averaged.shape[1])]
    line = {"place": place, "seed": 0, "raw": renewed[0], "averaged": renewed[1], "train_s": 9.0, "example_variance": [0.25, 9.0]}
    (tmp_path / f"{name}.jsonl").write_text(
        json.dumps(line) + "\n" + json.dumps(line)[:50], encoding="utf-8"
    )  # the second was cut by a kill
    file = tmp_path / "records.npz"
    shutil.copy(price["records"].FILE, file)
    facts = {key: task.facts for key, task in held.items()}
    price["records"].pack(tmp_path, facts, before.rows, before.looks, before.averaged_looks, len(before.base), file)
    after = price["records"].load(file)
    mine = after[name]
    assert (mine.raw[place] == 1.5).all()
    assert mine.seconds[place] == 9.0
    assert mine.variance[place] == 0.25
    assert place not in mine.more[:, 0]
    assert len(mine.more) == len(mine.more_raw) == len(mine.more_averaged)
    others = [k for k in range(len(before.rows)) if k != place]
    for one, other in ((mine.raw, before.raw), (mine.averaged, before.averaged), (mine.variance, before.variance)):
        np.testing.assert_array_equal(one[others], other[others])
    np.testing.assert_array_equal(mine.base, before.base)
    for other in set(held) - {name}:
        np.testing.assert_array_equal(after[other].more_raw, held[other].more_raw)


def test_records_of_a_row_that_has_changed_since_are_not_kept_under_its_new_name(price: dict[str, ModuleType], tmp_path: Path) -> None:
    held = price["records"].load()
    task = next(iter(held.values()))
    file = tmp_path / "records.npz"
    shutil.copy(price["records"].FILE, file)
    rows = [{**row, "name": "another"} if place == 3 else row for place, row in enumerate(task.rows)]
    facts = {key: other.facts for key, other in held.items()}
    with pytest.raises(ValueError, match=r"rows \[3\] have changed"):
        price["records"].pack(tmp_path, facts, rows, task.looks, task.averaged_looks, len(task.base), file)
    price["records"].pack(tmp_path, {task.name: task.facts}, task.rows, task.looks, task.averaged_looks, len(task.base), file)
    assert set(price["records"].load(file)) == set(held), "what one task is packed with leaves the others where they were"
