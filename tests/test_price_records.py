"""The records of benchmarks/price: what is replayed is the race that runs, the portfolio is what they say, and the guide shows them."""

from __future__ import annotations

import json
import math
import shutil
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
        assert len(task.rows) == 128
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
        [c.recipe.lr * c.recipe.optimizer.settings["weight_decay"] * c.recipe.steps for c in pair]  # type: ignore[operator]  # numbers
        for pair in zip(*by_length, strict=True)
        if "weight_decay" in pair[0].recipe.optimizer.settings
    ]
    assert any(short > 0 for short, _ in shrunk)
    assert all(short == pytest.approx(long, rel=0.02) for short, long in shrunk)


def test_equal_recipes_are_called_better_in_at_most_one_race_of_twenty(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    rates = price["null"].rates(records, 1800)
    assert np.mean([counts["better"] for counts in rates.values()]) <= 0.05


def test_the_lrs_that_lose_nothing_are_read_off_the_curvature_of_regret(price: dict[str, ModuleType], records: dict[str, Any]) -> None:
    prior = price["build_prior"]
    whole = prior.known(records)
    rates = np.log10([[task.lr_of(k) for k in range(len(task.rows))] * 2 for task in records.values()])
    peaks = np.linspace(-3.0, -1.5, len(whole.tasks))[:, None]
    planted = replace(whole, regret=0.1 + 0.4 * (rates - peaks) ** 2)  # each task has its best lr elsewhere
    found = prior.lr_within(records, planted)
    assert found["adamw"] == pytest.approx(10 ** math.sqrt(0.05 / 0.4), abs=0.06)
    assert portfolio().lr_within == prior.lr_within(records, whole), "run tools/build_prior.py --write"


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
            assert (rules.weeding, rules.behind) == (shape.weeding, shape.behind) or not shape.weeding
            assert bool(shape.weeding) == (rules.finish > 1)


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


def test_a_new_row_stands_behind_those_that_were_recorded_and_moves_none_of_them(price: dict[str, ModuleType], tmp_path: Path) -> None:
    held = price["records"].load()
    task = next(iter(held.values()))
    file = tmp_path / "records.npz"
    shutil.copy(price["records"].FILE, file)
    facts = {key: other.facts for key, other in held.items()}
    price["records"].pack(tmp_path, facts, [*task.rows, {"name": "new", "loss": 0}], task.looks, task.averaged_looks, len(task.base), file)
    for name, after in price["records"].load(file).items():
        assert len(after.rows) == len(after.raw) == len(after.seconds) == len(task.rows) + 1
        assert after.recorded.tolist() == [True] * len(task.rows) + [False], "it was not trained yet"
        np.testing.assert_array_equal(after.raw[:-1], held[name].raw)
        np.testing.assert_array_equal(after.variance[:-1], held[name].variance)
    first = price["records"].load(file, rows=len(task.rows))
    np.testing.assert_array_equal(first[task.name].finals, task.finals)


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
