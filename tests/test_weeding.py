"""Weeding: finalists that are behind stop on the way, dear leaders do not wait for it, and no set-up loses its finalists by it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_race import small
from torch import nn

import fallline
from fallline._budget import Clock
from fallline._constraints import Constraints
from fallline._plan import FEW_LOOKS, LOOKS, SHAPES, rungs_for
from fallline._planning import make_plan
from fallline._prior import Candidate
from fallline._race import Race
from fallline._run import Run
from fallline._setting import prepare
from fallline._weeding import head_start
from fallline.engines import Measurement, Trial, engine_entry


def test_a_finalist_well_behind_on_the_way_stops_there_and_the_plan_says_so(tmp_path: Path) -> None:
    plan = make_plan(prepare(small()), price=3.5, constraints=Constraints())
    assert any(f"at step {plan.weeding}" in line for line in plan.lines())
    good, bad = (replace(plan.candidates[0], name=name, recipe=plan.baseline.with_lr(lr)) for name, lr in (("good", 1e-2), ("bad", 1e-6)))
    verdict = fallline.choose(small(), plan=replace(plan, candidates=(good, bad)), out=tmp_path / "run")
    rows = {row["name"]: row for row in verdict.document["candidates"]}
    assert (rows["good"]["status"], rows["bad"]["status"]) == ("finished", "paused")
    assert rows["bad"]["stopped_at"] == plan.weeding
    assert f"fell at step {plan.weeding}" in rows["bad"]["reason"]


def test_a_dear_leader_runs_ahead_so_that_no_lane_waits_for_it_and_is_judged_where_the_others_are(tmp_path: Path) -> None:
    plan = make_plan(prepare(small()), price=3.5, constraints=Constraints())
    plan = replace(plan, shape=replace(plan.shape, weeding=0.5))
    good, other = (
        replace(plan.candidates[0], name=name, cost=cost, recipe=replace(plan.baseline.with_lr(lr), keep="best"))
        for name, lr, cost in (("good", 1e-2, 2.5), ("other", 5e-3, 2.5))
    )
    rows: dict[int, Any] = {}
    steps: dict[int, list[int]] = {}
    for lanes in (1, 2):
        verdict = fallline.choose(small(), plan=replace(plan, candidates=(good, other), abreast=lanes), out=tmp_path / str(lanes))
        rows[lanes] = {row["name"]: (row["status"], row["metric"], row["curve"]) for row in verdict.document["candidates"]}
        events = [event for event in Run.open(tmp_path / str(lanes)).events() if event["event"] == "rung" and event["trial"] == "good"]
        steps[lanes] = [event["measurement"]["step"] for event in events]
    left = (plan.weeding - plan.rungs[0]) * (2.5 + 1.0)  # that of the other and of the baseline, on the other lane meanwhile
    ahead = next(step for step in reversed(good.recipe.looks()) if step <= plan.rungs[0] + left / 2.5)
    assert ahead > plan.weeding
    assert (steps[1][-2], steps[2][-2]) == (plan.weeding, ahead)
    assert steps[1][-1] == steps[2][-1] == plan.length
    assert rows[1] == rows[2]


@pytest.mark.parametrize(
    ("weeding", "costs", "baseline", "wanted"),
    [
        (0.3, (1.0, 1.0), "paused", 300),  # as dear as the baseline, so it is there in time
        (0.3, (2.2, 2.2), "paused", 350),  # 200 steps at 2.2 and 200 at 1 beside it are 290 of its own
        (0.3, (5.0, 1.0), "paused", 300),  # the other lane is there before it
        (0.5, (2.2, 2.2, 2.2), "paused", 750),  # from 773 on less would be left of it than of the baseline
        (0.5, (2.2, 2.2), "failed", 500),
        (0.5, (2.2, 2.2), "paused", 650),
    ],
)
def test_how_far_a_dear_leader_runs_ahead(weeding: float, costs: Sequence[float], baseline: str, wanted: int, tmp_path: Path) -> None:
    setting = prepare(small())
    plan = make_plan(setting, price=3.5, constraints=Constraints())
    recipe = replace(plan.baseline, steps=1000, keep="best", evaluations=20)
    plan = replace(plan, length=1000, rungs=(100,), abreast=2, shape=replace(plan.shape, weeding=weeding), baseline=recipe)
    bench = setting.bench(plan)
    race = Race(plan, bench, engine_entry("sequential").open(bench, 1), Run.create("race", tmp_path / "run"), Clock(), lambda _: None, ())
    candidates = [replace(plan.candidates[0], name=f"c{k}", cost=cost, recipe=recipe) for k, cost in enumerate(costs)]
    race._enter(Candidate("baseline", recipe, "")).status = baseline
    going = [race._enter(candidate) for candidate in candidates]
    for entry in race.entered.values():
        entry.measured.append(Measurement(trial=entry.trial.name, step=100, value=1.0))
    assert head_start(race, going, plan.weeding) == wanted


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 6])
def test_a_loop_by_whole_epochs_brings_a_candidate_to_the_end_however_few_they_are(epochs: int, tmp_path: Path) -> None:
    def loop(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()

    own = {"loss": nn.MSELoss(), "optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=1e-3), "loop": loop}
    verdict = fallline.choose(replace(small(epochs=epochs), **own), price=3.5, out=tmp_path / "run")
    status = {row["name"]: row["status"] for row in verdict.document["candidates"]}
    assert "finished" in {found for name, found in status.items() if name != "baseline"}, status


def test_who_ran_past_a_look_and_fell_there_is_no_leader_over_who_goes_on(tmp_path: Path) -> None:
    setting = prepare(small())
    plan = make_plan(setting, price=3.5, constraints=Constraints())
    bench = setting.bench(plan)
    run = Run.create("race", tmp_path / "run")
    race = Race(plan, bench, engine_entry("sequential").open(bench, 1), run, Clock(), lambda _: None, ())
    for name, step, fell_at in (("ahead", 700, 500), ("going on", 500, None), ("early", 100, 100)):
        entry = race._enter_trial(Trial(name, plan.baseline), plan.candidates[0])
        entry.measured.append(Measurement(trial=name, step=step, value=1.0 if name == "ahead" else 2.0))
        entry.status, entry.fell_at = "paused", fell_at
    assert [entry.trial.name for entry in race.leaders()] == ["going on", "ahead", "early"]


@pytest.mark.parametrize("evaluations", [LOOKS, FEW_LOOKS])
def test_finalists_are_weeded_at_a_look_behind_rung_one_whatever_the_length(evaluations: int) -> None:
    plan = make_plan(prepare(small()), price=3.5, constraints=Constraints())
    for length, shape in itertools.product(range(4, 3000), (shape for shape in SHAPES if shape.weeding)):
        step = replace(plan, shape=shape, length=length).weeding
        assert step in replace(plan.baseline, steps=length, evaluations=evaluations).looks(), (length, step)
        assert rungs_for(length, shape)[-1] < step < length or length < 8, (length, step)
