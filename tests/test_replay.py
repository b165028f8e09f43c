"""Recorded trials: what they gave and when, on a simulated clock, and policies at sizes that no machine here could run."""

from __future__ import annotations

import random

import pytest

from fallline._budget import Clock, DeadlineReached
from fallline._recipe import Part, Recipe
from fallline.engines import Goal, Measurement, Trial
from fallline.engines.replay import Record, Replay
from fallline.policies import Decision, Standing
from fallline.policies.keep_best import KeepBest

RECIPE = Recipe(loss=Part("mse"), optimizer=Part("adamw"), steps=100)


def trials(count: int) -> list[Trial]:
    return [Trial(f"trial {i}", RECIPE) for i in range(count)]


def nothing() -> None:
    return None


def test_lanes_are_filled_in_turn_and_goals_come_in_the_order_of_time() -> None:
    seconds = {"trial 0": 3.0, "trial 1": 1.0, "trial 2": 1.0}
    engine = Replay(lambda trial: Record((10, 100), (2.0, 1.0), step_s=seconds[trial.name]), lanes=2)
    seen = [(m.trial, engine.now) for m in engine.advance([Goal(trial, 10) for trial in trials(3)], nothing)]
    assert seen == [("trial 1", 10.0), ("trial 2", 20.0), ("trial 0", 30.0)]


def test_a_measurement_is_what_was_recorded_up_to_the_goal() -> None:
    engine = Replay(lambda _: Record((10, 20, 100), (3.0, 2.0, 1.0)), lanes=1)
    trial = trials(1)[0]
    (half,) = engine.advance([Goal(trial, 50)], nothing)
    assert half == Measurement(trial="trial 0", step=50, value=2.0, train_s=50.0, steps=50, looks=((10, 3.0), (20, 2.0)))
    (end,) = engine.advance([Goal(trial, 400)], nothing)
    assert (end.step, end.steps, end.value, end.final, end.ended) == (100, 50, 1.0, 1.0, True)


def test_a_recorded_fault_is_met_where_it_was() -> None:
    engine = Replay(lambda _: Record((10, 30), (3.0, 9.0), fault="diverged: the loss became nan by step 30"), lanes=1)
    trial = trials(1)[0]
    (early,) = engine.advance([Goal(trial, 20)], nothing)
    (late,) = engine.advance([Goal(trial, 60)], nothing)
    assert early.value == 3.0
    assert (late.value, late.fault) == (None, "diverged: the loss became nan by step 30")


def test_a_budget_of_simulated_seconds_ends_the_race_when_it_should() -> None:
    engine = Replay(lambda _: Record((100,), (1.0,)), lanes=2)
    clock = Clock(budget_s=250.0, now=lambda: engine.now)
    reached: list[Measurement] = []
    with pytest.raises(DeadlineReached):
        reached.extend(engine.advance([Goal(trial, 100) for trial in trials(10)], clock.pulse))
    assert len(reached) == 5
    assert engine.now == 300.0


def test_ten_thousand_trials_on_a_thousand_lanes_are_halved_to_the_best() -> None:
    generator = random.Random(0)
    level = {trial.name: generator.random() for trial in trials(10_000)}
    noise = {name: generator.gauss(0, 0.02) for name in level}

    def record(trial: Trial) -> Record:
        return Record((1, 3, 9, 27, 81), tuple(level[trial.name] + noise[trial.name] * 3**-rung + 1 / (1 + rung) for rung in range(5)))

    engine, going = Replay(record, lanes=1_000), trials(10_000)
    for goal in (1, 3, 9, 27, 81):
        reached = {m.trial: m.value for m in engine.advance([Goal(trial, goal) for trial in going], nothing)}
        decisions = KeepBest(max(len(going) // 3, 1)).decide([Standing(name, value) for name, value in reached.items()])
        going = [trial for trial in going if decisions[trial.name] is Decision.CONTINUE]
    rank = sorted(level.values()).index(level[going[0].name])
    assert rank < 100, "noise of 0.02 over 10,000 levels can hide the best among a few hundred, not more"
    assert engine.now == pytest.approx(10 * 1 + 4 * 2 + 2 * 6 + 1 * 18 + 1 * 54)
