"""Planning: from a setting, a price and a budget to the plan that they buy."""

from __future__ import annotations

import os
from dataclasses import replace

from fallline._budget import spoken
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._plan import (
    DEFAULT_PRICE,
    LOOKS,
    SHAPES,
    SHORTEST,
    Plan,
    Shape,
    expected_work,
    look_rows_for,
    resamples_for,
    rungs_for,
    shape_for,
    threads_for,
)
from fallline._prior import MANY_PASSES, baseline, candidates
from fallline._recipe import Frame
from fallline._setting import Setting

OVERHEAD_S = 3.0  # of a race beyond its training: measuring, judging, resampling, writing; measured on the tables in benchmarks/tables.md
MARGIN = 1.25  # estimated over measured seconds a step: optimizers and losses differ, and machines are busy

ENGINES = ("auto", "sequential")


def make_plan(
    setting: Setting,
    *,
    budget_s: float | None = None,
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
    wanted = shape_for(price) if price is not None else (SHAPES[-1] if budget_s is not None else shape)
    if budget_s is not None:
        shape, length = _within(budget_s, wanted, length, setting, notes)
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
    if profile.valid_rows + profile.audit_rows + profile.rows < 500:
        notes.append("fewer than 500 examples: one split cannot decide, the verdict will say so")
    plan = Plan(
        shape=shape, length=length, rungs=rungs, baseline=base, candidates=tuple(entered), seed=seed,
        look_rows=look_rows, resamples=resamples_for(profile.audit_rows),
        threads=threads_for(profile, os.cpu_count() or 1),
        shadow_decay=max(1 - 100 / length, 0.9) if profile.passes < MANY_PASSES and not own_epochs else None, notes=tuple(notes),
    )  # fmt: skip
    work = expected_work(shape, length, rungs, len(entered))
    estimate = {
        "work": round(work, 2),
        "seconds": round(_seconds(work, length, setting), 1),
        "memory_bytes": profile.memory * (len(entered) + 1),
    }
    return replace(plan, estimate=estimate)


def _within(budget_s: float, wanted: Shape, length: int, setting: Setting, notes: list[str]) -> tuple[Shape, int]:
    """The largest plan, and the length, that fit a budget."""
    given = length
    while True:
        for shape in [wanted, *reversed([s for s in SHAPES if s.price < wanted.price])]:
            enough = 2 if wanted.price >= 2 else 1  # below two plain trainings nothing is compared to the end: shorten instead
            if shape.price >= enough and _need(shape, length, setting) <= budget_s:
                if length != given:
                    shortened = f"the length is shortened from {given} to {length} steps"
                    notes.append(f"{shortened}, so that the budget of {spoken(budget_s)} buys plan {shape.price:g}")
                return shape, length
        if length // 2 < SHORTEST:
            least = min(SHAPES[:2], key=lambda s: s.price) if wanted.price < 2 else SHAPES[1]
            need = _need(least, max(min(length, SHORTEST), 1), setting)
            raise UsageError(f"a budget of {spoken(budget_s)} is too short even for the smallest plan; about {int(need) + 1}s would do")
        length //= 2


def _need(shape: Shape, length: int, setting: Setting) -> float:
    rungs = rungs_for(length, setting.steps_per_epoch, shape)
    return _seconds(expected_work(shape, length, rungs, shape.recipes + shape.second_losses), length, setting)


def _seconds(work: float, length: int, setting: Setting) -> float:
    looks = (
        LOOKS
        * setting.profile.eval_s
        * min(look_rows_for(length, setting.profile.batch_size, setting.profile.valid_rows) / setting.profile.valid_rows, 1)
    )
    return work * (length * setting.profile.step_s * MARGIN + looks) + OVERHEAD_S
