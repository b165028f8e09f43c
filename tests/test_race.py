"""The race keeps its promises: repeatable, resumable after any kill, inside its budget, and equal to `train` of its recipe."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook

import fallline
from fallline import catalogue
from fallline._budget import Clock
from fallline._choose import resume
from fallline._constraints import Constraints
from fallline._plan import SHAPES, Plan, expected_work, rungs_for, shape_for
from fallline._planning import make_plan, reserve
from fallline._recipe import Part, Recipe
from fallline._run import Run
from fallline._setting import prepare
from fallline.engines.processes import GRACE_S


class Net(nn.Module):
    """A small regression network with everything that draws or keeps state: dropout and batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x).squeeze(1)  # type: ignore[no-any-return]


def small(rows: int = 900, **given: Any) -> fallline.Problem:
    """A problem on which a plain training takes a fraction of a second."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 6, generator=generator)
    y = x[:, 0] * 2 + x[:, 1] ** 2 + torch.randn(rows, generator=generator) * 0.3
    return fallline.Problem(**{"model": Net, "train": (x, y), "metric": "mae", "epochs": 10, **given})


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def essence(verdict: fallline.Verdict) -> dict[str, Any]:
    """What two runs of one race must agree on: all but names of folders and measured times."""
    document = {key: value for key, value in verdict.document.items() if key not in ("run", "cost", "reasons")}
    document["plan"] = {key: value for key, value in document["plan"].items() if key != "estimate"}
    return json.loads(json.dumps(document))  # type: ignore[no-any-return]


@pytest.mark.parametrize("price", [1, 2, 3.5, 8])
def test_every_plan_runs_and_its_work_is_near_what_it_said(price: float, tmp_path: Path) -> None:
    verdict = fallline.choose(small(), price=price, out=tmp_path / "run")
    planned = verdict.document["plan"]["estimate"]["work"]
    length = verdict.document["plan"]["length"]
    steps = verdict.document["cost"]["steps"] / length
    share = verdict.document["plan"]["shape"]["weeding"]
    saved = sum(row["stopped_at"] == math.ceil(share * length) for row in verdict.document["candidates"]) * (1 - share)
    assert steps == pytest.approx(planned - saved, abs=0.35), "work in steps, looks not counted; who stops on the way saves the rest"
    assert planned <= price * 1.2 + 0.25  # on a training this short rung one is a fifth, not a tenth
    assert verdict.status in ("better", "no difference shown", "worse")


def test_plan_twenty_draws_around_the_best_and_runs_three_seeds(tmp_path: Path) -> None:
    verdict = fallline.choose(small(600, epochs=4), price=20, out=tmp_path / "run")
    names = [row["name"] for row in verdict.document["candidates"]]
    assert any(name.startswith("draw") for name in names)
    assert verdict.document["verdict"]["covers"] == "examples+seeds"
    assert verdict.document["verdict"]["seeds"] == 3


def test_the_same_price_and_seed_give_the_same_verdict(tmp_path: Path) -> None:
    first, second = (fallline.choose(small(), price=3.5, seed=3, out=tmp_path / name) for name in ("a", "b"))
    assert essence(first) == essence(second)
    assert same(load_file(tmp_path / "a" / "model.safetensors"), load_file(tmp_path / "b" / "model.safetensors"))


def test_another_seed_gives_other_splits_and_weights(tmp_path: Path) -> None:
    first, second = (fallline.choose(small(), price=1, seed=seed, out=tmp_path / str(seed)) for seed in (0, 1))
    assert not same(first.model.state_dict(), second.model.state_dict())


@pytest.mark.parametrize("price", [1, 3.5, 8])
def test_train_of_the_recipe_gives_the_weights_that_choose_handed_back(price: float, tmp_path: Path) -> None:
    verdict = fallline.choose(small(), price=price, out=tmp_path / "run")
    recipe = Recipe.load(tmp_path / "run" / "recipe.toml")
    assert recipe == verdict.recipe
    trained = fallline.train(small(), recipe)
    assert same(trained.network.state_dict(), load_file(tmp_path / "run" / "model.safetensors"))
    if verdict.document["verdict"]["compared_at"] is None:
        assert trained.audit == verdict.document["verdict"]["metric"]


def test_a_plan_written_to_a_file_runs_again_to_the_same_verdict(tmp_path: Path) -> None:
    first = fallline.choose(small(), price=2, out=tmp_path / "a")
    second = fallline.choose(small(), plan=tmp_path / "a" / "plan.json", out=tmp_path / "b")
    assert essence(first) == essence(second)


class Killed(BaseException):
    """Stands for the process's end: nothing in the library may catch it."""


def killed_after(pulses: int, clock: Clock) -> Callable[[], None]:
    left = pulses

    def pulse() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    clock.pulse = pulse  # type: ignore[method-assign]
    return pulse


@pytest.mark.parametrize("moment", range(6))
def test_a_race_killed_at_a_random_moment_resumes_to_the_unbroken_verdict(moment: int, tmp_path: Path) -> None:
    price = 8 if moment % 2 else 3.5
    unbroken = fallline.choose(small(), price=price, out=tmp_path / "unbroken")
    clock = Clock()
    killed_after(random.Random(moment).randrange(1, 60 if price == 8 else 50), clock)  # a race of the default plan has 56 moments
    with pytest.raises(Killed):
        fallline.choose(small(), price=price, out=tmp_path / "run", clock=clock)
    with (tmp_path / "run" / "journal.jsonl").open("ab") as file:
        file.write(b'{"event": "rung", "trial": "to')  # a torn last line, as a power cut leaves it
    resumed = resume(Run.open(tmp_path / "run"), small())
    assert essence(resumed) == essence(unbroken)
    assert same(load_file(tmp_path / "run" / "model.safetensors"), load_file(tmp_path / "unbroken" / "model.safetensors"))


def test_resume_refuses_data_that_have_changed(tmp_path: Path) -> None:
    clock = Clock()
    killed_after(10, clock)
    with pytest.raises(Killed):
        fallline.choose(small(), price=2, out=tmp_path / "run", clock=clock)
    with pytest.raises(fallline.RefusedError, match="have changed"):
        resume(Run.open(tmp_path / "run"), small(rows=800))


def test_a_budget_is_kept_and_a_short_one_shortens_the_length_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    began = time.monotonic()
    verdict = fallline.choose(small(4000, epochs=400), budget="8s", out=tmp_path / "run", say=said.append)
    assert time.monotonic() - began < 8
    assert any("shortened" in line for line in said)
    assert verdict.document["problem"]["length_steps"] < 400 * (4000 // 64)


def test_a_budget_in_which_nothing_fits_names_one_that_does(tmp_path: Path) -> None:
    with pytest.raises(fallline.UsageError, match=r"about \d+s would do"):
        fallline.choose(small(), budget="0.2s", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_deadline_in_the_final_stretch_cools_the_incumbent_down_and_says_so(tmp_path: Path) -> None:
    problem = small()
    setting = prepare(problem)
    plan = make_plan(setting, price=1, constraints=Constraints())
    clock = Clock()
    calls = 0

    def pulse() -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            clock.budget_s, clock.reserve_s = clock.spent_s + 0.5, 0.6
            calls = -(10**9)
        Clock.pulse(clock)

    clock.pulse = pulse  # type: ignore[method-assign]
    verdict = fallline.choose(problem, plan=plan, out=tmp_path / "run", clock=clock)
    assert verdict.document["verdict"]["cut_by_deadline"]
    assert verdict.recipe.cooldown is not None
    assert verdict.recipe.lr_factor(verdict.recipe.end - 1) < verdict.recipe.lr_factor(verdict.recipe.cooldown.at)
    trained = fallline.train(small(), Recipe.load(tmp_path / "run" / "recipe.toml"))
    assert same(trained.network.state_dict(), load_file(tmp_path / "run" / "model.safetensors"))


def test_a_candidate_that_diverges_is_a_result_and_not_the_end(tmp_path: Path) -> None:
    plan = make_plan(prepare(small()), price=2, constraints=Constraints())
    wild = replace(plan.candidates[0], recipe=plan.candidates[0].recipe.with_lr(1e30))
    verdict = fallline.choose(small(), plan=replace(plan, candidates=(wild, *plan.candidates[1:])), out=tmp_path / "run")
    row = next(row for row in verdict.document["candidates"] if row["name"] == wild.name)
    assert row["status"] == "failed"
    assert "diverged" in row["reason"]


def test_whoever_went_on_though_others_that_fell_were_ahead_is_named_with_the_reason(tmp_path: Path) -> None:
    plan = make_plan(prepare(small()), price=3.5, constraints=Constraints())
    first = plan.candidates[0].recipe
    entered = []
    for name, optimizer, schedule in (("high", 3e-2, "constant"), ("low", 1e-2, "constant"), ("late", 3e-3, "one_cycle")):
        parts = {"optimizer": Part("adamw", {**catalogue.optimizer("adamw").defaults(), "lr": optimizer})}
        parts["schedule"] = Part(schedule, catalogue.schedule(schedule).defaults())
        entered.append(replace(plan.candidates[0], name=name, recipe=replace(first, **parts)))
    shape = replace(plan.shape, weeding=0.0)
    verdict = fallline.choose(small(), plan=replace(plan, shape=shape, candidates=tuple(entered)), out=tmp_path / "run")
    rows = {row["name"]: row for row in verdict.document["candidates"]}
    rungs = [event for event in Run.open(tmp_path / "run").events() if event["event"] == "rung"]
    at_rung_one = {event["trial"]: event["measurement"]["value"] for event in reversed(rungs)}  # the first of each trial is read last
    fallen = [at_rung_one[name] for name, row in rows.items() if row["status"] == "paused"]
    behind = [name for name, row in rows.items() if row["status"] == "finished" and name != "baseline" and at_rung_one[name] > min(fallen)]
    assert behind == ["late"], "one-cycle begins with a small part of its lr"
    told = [reason.split()[0] for reason in verdict.document["reasons"] if "its lr had not peaked yet" in reason]
    assert told == behind


def test_constraints_are_kept_by_every_candidate_but_not_by_the_baseline() -> None:
    plan = make_plan(prepare(small()), price=3.5, constraints=Constraints.of({"optimizer": "sgd", "lr": 0.02}))
    assert {candidate.recipe.optimizer.name for candidate in plan.candidates} == {"sgd"}
    assert {candidate.recipe.lr for candidate in plan.candidates} == {0.02}
    assert plan.baseline.optimizer.name == "adamw"


def test_rung_one_is_a_tenth_raised_to_thirty_steps_and_never_above_a_fifth() -> None:
    found = {length: rungs_for(length, shape_for(3.5)) for length in (10_000, 400, 200, 100, 1)}
    assert found == {10_000: (1000,), 400: (40,), 200: (30,), 100: (20,), 1: (1,)}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_plan_is_meant_to_cost_a_fifth_more_than_its_price(shape: Any) -> None:
    length = 4000
    work = expected_work(shape, length, rungs_for(length, shape), shape.recipes + shape.second_losses)
    assert work <= shape.price * 1.2 + 1e-9


def test_few_examples_are_split_again_at_price_eight_and_resume_repeats_it(tmp_path: Path) -> None:
    unbroken = fallline.choose(small(300, epochs=6), price=8, out=tmp_path / "unbroken")
    facts = unbroken.document["verdict"]
    assert facts["splits"] == 3
    assert facts["covers"] == "examples+seeds"
    clock = Clock()
    killed_after(33, clock)
    with pytest.raises(Killed):
        fallline.choose(small(300, epochs=6), price=8, out=tmp_path / "run", clock=clock)
    assert essence(fallline.resume(tmp_path / "run", small(300, epochs=6))) == essence(unbroken)


def test_few_examples_at_a_lower_price_decide_nothing(tmp_path: Path) -> None:
    verdict = fallline.choose(small(300, epochs=6), price=3.5, out=tmp_path / "run")
    assert verdict.status == "no difference shown"
    assert "one split cannot decide" in verdict.document["reasons"][0]


def test_a_run_that_is_being_raced_cannot_be_resumed_beside_it(tmp_path: Path) -> None:
    running = Run.create("problem", tmp_path / "run")
    with pytest.raises(fallline.UsageError, match="still being raced"):
        Run.open(running.folder)


def test_work_that_a_deadline_cuts_off_is_in_the_cost(tmp_path: Path) -> None:
    plan = make_plan(prepare(small()), price=3.5, engine="sequential", constraints=Constraints.of({"optimizer": "adamw"}))
    steps: list[int] = []
    moment = iter(range(10**9))  # a second each time that somebody looks at the clock, which happens every few steps

    def say(line: str) -> None:
        if line.startswith("run folder"):
            steps.clear()  # from here on the race trains, and nobody else

    hook = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    try:
        clock = Clock(60.0, now=lambda: float(next(moment)))
        verdict = fallline.choose(small(), plan=plan, clock=clock, say=say, out=tmp_path / "run")
    finally:
        hook.remove()
    assert verdict.document["verdict"]["cut_by_deadline"]
    assert verdict.document["cost"]["steps"] == len(steps)
    stopped = [event["measurement"] for event in Run.open(tmp_path / "run").events() if event["event"] == "stopped"]
    assert sum(measurement["steps"] for measurement in stopped) > 0


def test_a_budget_keeps_back_what_the_lanes_need_to_stand_still() -> None:
    setting = prepare(small())
    assert reserve(60.0, setting, "processes") == pytest.approx(reserve(60.0, setting, "sequential") + GRACE_S, abs=1e-9)


def test_one_process_is_said_to_be_none() -> None:
    plan = make_plan(prepare(small()), engine="processes:1", constraints=Constraints())
    assert plan.engine == "sequential"
    assert any(note.startswith("engine processes in one lane: trials run one after another") for note in plan.notes)


def test_a_plan_survives_json() -> None:
    plan = make_plan(prepare(small()), price=8, constraints=Constraints())
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
