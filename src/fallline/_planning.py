"""Planning: from a setting, a price and a budget to the plan that they buy."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from fallline._bench import Diverged
from fallline._budget import Clock, spoken
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._plan import (
    DEFAULT_PRICE,
    FEW_EXAMPLES,
    LOOKS,
    SHAPES,
    SHORTEST,
    Plan,
    Shape,
    cores,
    expected_work,
    look_rows_for,
    resamples_for,
    rungs_for,
    shape_for,
    shape_for_few,
    threads_for,
)
from fallline._prior import MANY_PASSES, baseline, candidates
from fallline._recipe import Frame
from fallline._setting import Setting, threads
from fallline._step import start

ENDING_S = 1.0  # judging, resampling and writing at the end, beside the evaluations: 0.3 to 0.8 s on the tables of benchmarks/tables.md
SLACK = 1.15  # over the measured pace: memory fills, and machines are busy
PACE_S = 0.15  # of timing a recipe: enough steps for a few per cent of error, and a minute at most for the slowest models
RESERVE_SHARE = 0.05  # of the budget kept back for a cooldown, at least half a second

SPLITS_FROM = 8.0  # the price from which few examples are split again: below it a race and one more split do not fit

ENGINES = ("auto", "sequential")


def make_plan(
    setting: Setting,
    *,
    clock: Clock | None = None,
    price: float | None = None,
    seed: int = 0,
    engine: str = "auto",
    constraints: Constraints,
) -> Plan:
    """The plan that price and budget buy; the length is halved, and said to be, until the budget buys two plain trainings.

    Raises:
        UsageError: not even the shortest plan fits; the message names the budget that would.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    problem, profile = setting.problem, setting.profile
    length = max(round(profile.passes * setting.steps_per_epoch), 1)
    notes: list[str] = []
    shape = shape_for(DEFAULT_PRICE if price is None else price)
    if setting.few and setting.can_split_again and shape.price >= SPLITS_FROM:
        shape = shape_for_few(shape.price)
    pace = profile.step_s * SLACK
    if clock is not None and clock.budget_s is not None:
        wanted = shape_for(price) if price is not None else SHAPES[-1]
        pace = SLACK * paced(setting, constraints, seed)
        clock.reserve_s = reserve(clock.budget_s, setting)
        shape, length = _within(clock, shape if shape.splits else wanted, length, setting, pace, notes)
    rungs = rungs_for(length, setting.steps_per_epoch, shape)
    own_epochs = problem.loop is not None
    look_rows = look_rows_for(length, profile.batch_size, profile.valid_rows)
    frame = Frame(length, seed, LOOKS, look_rows)
    base = baseline(problem, profile, frame)
    entered = candidates(problem, profile, setting.judge, constraints, frame, count=shape.recipes, second_losses=shape.second_losses)
    if constraints.describe():
        notes.append(f"kept as you asked: {constraints.describe()}")
    if own_epochs:
        notes.append("your loop runs by whole epochs; each rung is judged at the first epoch at or after it")
    if setting.few and not shape.splits:
        notes.append(f"fewer than {FEW_EXAMPLES} examples: one split cannot decide, the verdict will say so")
    plan = Plan(
        shape=shape, length=length, rungs=rungs, baseline=base, candidates=tuple(entered), seed=seed,
        look_rows=look_rows, resamples=resamples_for(profile.audit_rows),
        threads=threads_for(profile, cores()),
        shadow_decay=max(1 - 100 / length, 0.9) if profile.passes < MANY_PASSES and not own_epochs else None, notes=tuple(notes),
    )  # fmt: skip
    work = expected_work(shape, length, rungs, len(entered))
    estimate = {
        "work": round(work, 2),
        "seconds": round(_seconds(work, length, setting, pace) + _ending(setting), 1),
        "memory_bytes": profile.memory * (len(entered) + 1),
    }
    return replace(plan, estimate=estimate)


def paced(setting: Setting, constraints: Constraints, seed: int) -> float:
    """Mean measured seconds a step over the baseline and the default plan's candidates; optimizers differ by a factor of three."""
    problem, profile = setting.problem, setting.profile
    if problem.loop is not None:
        return profile.step_s
    frame, shape = Frame(1000, seed, LOOKS, 0), shape_for(DEFAULT_PRICE)
    entered = candidates(problem, profile, setting.judge, constraints, frame, count=shape.recipes, second_losses=0)
    times = []
    bench = setting.bench_of(0, seed)
    with threads(threads_for(profile, cores())):
        for recipe in [baseline(problem, profile, frame), *(candidate.recipe for candidate in entered)]:
            training = start(bench, recipe)
            try:
                training.run(2)  # allocations and first calls
                began = time.perf_counter()
                while time.perf_counter() - began < PACE_S:
                    training.run(training.step + 1)
            except Diverged:
                continue  # the race will find out and say so
            times.append((time.perf_counter() - began) / max(training.step - 2, 1))
    return sum(times) / len(times) if times else profile.step_s


def _within(clock: Clock, wanted: Shape, length: int, setting: Setting, pace: float, notes: list[str]) -> tuple[Shape, int]:
    """The largest plan, and the length, that fit what is left of a budget."""
    given, budget_s = length, clock.budget_s or 0.0
    while True:
        for shape in [wanted, *reversed([s for s in SHAPES if s.price < wanted.price])]:
            enough = 2 if wanted.price >= 2 else 1  # below two plain trainings nothing is compared to the end: shorten instead
            if shape.price >= enough and _need(shape, length, setting, pace) <= clock.left_s:
                if length != given:
                    shortened = f"the length is shortened from {given} to {length} steps"
                    notes.append(f"{shortened}, so that the budget of {spoken(budget_s)} buys plan {shape.price:g}")
                return shape, length
        if length // 2 < SHORTEST:
            least = SHAPES[0] if wanted.price < 2 else SHAPES[1]
            need = clock.spent_s + clock.reserve_s + _need(least, min(length, 2 * SHORTEST), setting, pace)
            raise UsageError(f"a budget of {spoken(budget_s)} is too short even for the smallest plan; {_roundly(need)} would do")
        length //= 2


def _need(shape: Shape, length: int, setting: Setting, pace: float) -> float:
    rungs = rungs_for(length, setting.steps_per_epoch, shape)
    return _seconds(expected_work(shape, length, rungs, shape.recipes + shape.second_losses), length, setting, pace)


def _seconds(work: float, length: int, setting: Setting, pace: float) -> float:
    """Wall time of so many plain trainings with their looks."""
    profile = setting.profile
    share = look_rows_for(length, profile.batch_size, profile.valid_rows) / profile.valid_rows
    return work * (length * pace + LOOKS * share * profile.eval_s)


def reserve(budget_s: float, setting: Setting) -> float:
    """Seconds of a budget that training may not touch: a cooldown and the end."""
    return max(RESERVE_SHARE * budget_s, 0.5) + _ending(setting)


def _ending(setting: Setting) -> float:
    """Seconds after the last step: valid and audit for winner, runner-up and baseline, and what does not depend on the model."""
    profile = setting.profile
    return ENDING_S + 3 * profile.eval_s * (1 + profile.audit_rows / profile.valid_rows)


def _roundly(need: float) -> str:
    """A budget that is sure to do, rounded up: to 5 s below a minute, to whole minutes above."""
    generous = 1.2 * need + 1  # the next attempt times its steps anew
    return f"about {5 * math.ceil(generous / 5)}s" if generous <= 60 else f"about {math.ceil(generous / 60)}m"
