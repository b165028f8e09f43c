"""Planning: from a setting, a price and a budget to the plan that they buy."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from fallline import catalogue
from fallline._bench import materialise
from fallline._budget import Clock, spoken
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._finetune import with_body_lr
from fallline._judge import Judge
from fallline._machine import cores
from fallline._plan import (
    DEFAULT_PRICE,
    FEW_EXAMPLES,
    LOOKS,
    SHAPES,
    SHORTEST,
    Plan,
    Shape,
    expected_wall,
    expected_work,
    look_rows_for,
    looks_for,
    narrowed,
    resamples_for,
    rungs_for,
    shape_for,
    shape_for_few,
    threads_for,
    widest,
)
from fallline._portfolio import MANY_PASSES, Facts, portfolio
from fallline._prior import baseline, candidates
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, threads
from fallline._step import start
from fallline._winner import EQUALS_RESAMPLES
from fallline.engines import engine_entry
from fallline.engines._calibration import Calibration, Demand, calibrate
from fallline.metrics import OwnMetric

ENDING_S = 1.0  # judging, resampling and writing at the end, beside the evaluations: 0.3 to 0.8 s on the tables of benchmarks/tables.md
SLACK = 1.15  # over the measured pace: memory fills, and machines are busy
PACE_S = 0.15  # of timing a recipe: enough steps for a few per cent of error, and a minute at most for the slowest models
WORTH_SAYING = 1.3  # times AdamW's step: less than a third more is lost among the tenths by which two timings of one step differ
RESERVE_SHARE = 0.05  # of the budget kept back for a cooldown, at least half a second

RESAMPLE_SHARE = 0.05  # of the plan's time may go into resampling the metric
RESAMPLES = (50, 100, 200)  # what dear metrics are cut to; few steps, so that the clock seldom decides between two
DEAR_METRIC_S = 1e-3  # a call: without a budget only dearer ones are resampled less, so that equal seeds keep equal verdicts

SPLITS_FROM = 8.0  # the price from which few examples are split again: below it a race and one more split do not fit


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
    problem, profile = setting.problem, setting.profile
    length = length_of(setting)
    metric_s = metric_seconds(setting, seed)
    notes: list[str] = []
    shape = shape_for(DEFAULT_PRICE if price is None else price)
    engines = _calibrated(setting, shape, length, seed, engine)
    if setting.few and setting.can_split_again and shape.price >= SPLITS_FROM:
        shape = shape_for_few(shape.price)
    notes += engines.notes
    pace = (engines.step_s or profile.step_s) * SLACK
    if clock is not None and clock.budget_s is not None:
        wanted = shape_for(price) if price is not None else SHAPES[-1]
        pace = SLACK * engines.slowdown * paced(setting, constraints, seed, engines.threads)
        clock.reserve_s = reserve(clock.budget_s, setting, engines.engine)
        shape, length = _within(clock, shape if shape.splits else wanted, length, setting, engines.abreast, pace, metric_s, notes)
        profile = replace(profile, passes=min(profile.passes, length / setting.steps_per_epoch))  # the regime is that of what is run
    if "lr" in constraints.settings or problem.loop is not None:
        shape = replace(shape, child=False)  # a third of a fixed lr is another lr
    shape = narrowed(shape, length)
    rungs = rungs_for(length, shape)
    own_epochs = problem.loop is not None
    look_rows = look_rows_for(length, profile.batch_size, profile.valid_rows, looks_of(setting, length), profile.second_share)
    frame = Frame(length, seed, looks_for(length, profile.batch_size, profile.valid_rows), look_rows, engines.threads)
    base = baseline(problem, profile, frame, setting.steps_per_epoch)
    entered = candidates(problem, profile, setting.judge, constraints, frame, count=shape.recipes, second_losses=shape.second_losses)
    if shape.baseline_finishes and "lr" not in constraints.settings:  # a fixed lr is that of all, and at price 1 there is one candidate
        entered += with_body_lr(entered, problem, seed)
    if constraints.describe():
        notes.append(f"kept as you asked: {constraints.describe()}")
    if own_epochs:
        notes.append("your loop runs by whole epochs; each rung is judged at the first epoch at or after it")
    if setting.few and not shape.splits:
        notes.append(f"fewer than {FEW_EXAMPLES} examples: one split cannot decide, the verdict will say so")
    work = expected_work(shape, length, rungs, len(entered))
    seconds = _seconds(expected_wall(shape, length, rungs, len(entered), engines.abreast), length, setting, pace, metric_s)
    bounded = clock is not None and clock.budget_s is not None
    dear = sum(candidate.cost for candidate in entered) / max(len(entered), 1)
    if not bounded:  # with a budget the recipes themselves were timed
        own = rungs[0] / length + (1 if shape.baseline_finishes else rungs[0] / length)  # the baseline's share of the work
        seconds *= 1 + (dear - 1) * max(1 - own / work, 0)
    if dear >= WORTH_SAYING:
        notes.append(f"a step of these candidates takes about {dear:.1f} times as long as one of AdamW's, by recorded tasks like this")
    resamples, judging_s = resampling(setting, shape, seconds, metric_s, bounded=bounded)
    if clock is not None and clock.budget_s is not None:
        clock.reserve_s = reserve(clock.budget_s, setting, engines.engine, judging_s)
    if resamples < resamples_for(profile.audit_rows):
        call = f"a call of {setting.judge.metric.name} takes {1000 * metric_s:.2g} ms"
        notes.append(f"{call}: intervals from {resamples} resamples, coarser than from {resamples_for(profile.audit_rows)}")
    noise, settled = portfolio().seed_noise(Facts.of(profile), setting.judge.metric.name, setting.judge.metric.direction)
    return Plan(
        seed_noise=noise, settled_noise=settled,
        shape=shape, length=length, rungs=rungs, baseline=base, candidates=tuple(entered), seed=seed,
        look_rows=look_rows, resamples=resamples,
        threads=engines.threads, engine=engines.engine, lanes=engines.lanes, abreast=engines.abreast, figures=engines.figures,
        shadow_decay=max(1 - 100 / length, 0.9) if profile.passes < MANY_PASSES and not own_epochs else None, notes=tuple(notes),
        constraints=constraints, made_for={"task": profile.task, "metric": setting.judge.metric.name},
        estimate={
            "work": round(work, 2), "seconds": round(seconds + _ending(setting, judging_s), 1),
            "memory_bytes": profile.memory * (len(entered) + 1), "judging_s": round(judging_s, 2),
            "slowdown": round(engines.slowdown, 3),
        },
    )  # fmt: skip


def _calibrated(setting: Setting, shape: Shape, length: int, seed: int, asked: str) -> Calibration:
    """The engine of the race, from a few steps of the baseline."""
    profile = setting.profile
    recipe = baseline(setting.problem, profile, Frame(length, seed, LOOKS, 0))
    entered = shape.recipes + shape.second_losses
    work = expected_work(shape, length, rungs_for(length, shape), entered)
    demand = Demand(
        trials=widest(shape, entered),
        memory=profile.memory,
        seconds=work * length * profile.step_s,
        threads=threads_for(profile, cores()),
    )
    return calibrate(setting.bench_of(0, seed), recipe, demand, asked)


def length_of(setting: Setting) -> int:
    """Updates of one full training."""
    return max(round(setting.profile.passes * setting.steps_per_epoch), 1)


def looks_of(setting: Setting, length: int) -> int:
    """Looks at valid during the dearest of the trainings: patience looks once an epoch."""
    profile, patience = setting.profile, setting.problem.patience
    looks = looks_for(length, profile.batch_size, profile.valid_rows)
    return looks if patience is None else max(looks, round(length / setting.steps_per_epoch))


def check_fits(plan: Plan, setting: Setting) -> None:
    """Refuse a plan that was made for another kind of problem."""
    here = {"task": setting.profile.task, "metric": setting.judge.metric.name}
    for key, made in plan.made_for.items():
        if here.get(key, made) != made:
            raise UsageError(f"the plan was made for {key} {made}, the problem has {key} {here[key]}; make a new plan for it")
    recipes: Sequence[Recipe] = [plan.baseline, *(candidate.recipe for candidate in plan.candidates)]
    given = setting.problem.own_parts()
    for recipe in recipes:
        for kind, part in recipe.parts().items():
            if part.own and ("scheduler" if kind == "schedule" else kind) not in given:
                raise UsageError(f"the plan trains with your own {kind}, and the problem has none; give it, or make a new plan")
        reason = "" if recipe.loss.own else catalogue.loss(recipe.loss.name).applies(setting.profile)
        if reason:
            raise UsageError(f"the plan does not fit this problem: loss {recipe.loss.name} {reason}; make a new plan for it")


def metric_seconds(setting: Setting, seed: int) -> float:
    """Seconds of one call of the metric on all of valid; 0 where it is a mean over examples, which is never recomputed."""
    judge: Judge = setting.judge
    if judge.metric.each is not None:
        return 0.0
    bench = setting.bench_of(0, seed)
    model = setting.problem.new_model(seed).to(setting.device)
    materialise(model, bench, seed)
    least = math.inf
    try:
        outputs, targets = bench.outputs(model, "valid")
        for _ in range(2):  # the first call may import or warm up
            began = time.perf_counter()
            judge.value(outputs, targets, None)
            least = min(least, time.perf_counter() - began)
            if not DEAR_METRIC_S < least < 1:
                break
    except Exception:  # an untrained model may give what the user's metric cannot read; the race will find out and say so
        return least if least < math.inf else 0.0
    return least


def resampling(setting: Setting, shape: Shape, seconds: float, metric_s: float, *, bounded: bool) -> tuple[int, float]:
    """(resamples a comparison, seconds of all of them): what RESAMPLE_SHARE of a plan of so many seconds allows.

    At least 200, with a budget at least 50. Decided by the clock only with a budget, or where the user's own metric is dear.
    """
    profile = setting.profile
    most = resamples_for(profile.audit_rows)
    equals = max(shape.finish + shape.baseline_finishes + shape.rounds - 1, 0)
    counts, audit = (*RESAMPLES, most), profile.audit_rows / profile.valid_rows
    # seconds, two calls of the metric a resample: in the choice among equals, which is on valid, and in the comparison on audit
    cost = {count: 2 * metric_s * (equals * min(count, EQUALS_RESAMPLES) + count * audit) for count in counts}
    if not metric_s or not (bounded or (isinstance(setting.judge.metric, OwnMetric) and metric_s > DEAR_METRIC_S)):
        return most, cost[most]
    steps = [count for count in counts if (count >= 200 or bounded) and count <= most]
    count = max((count for count in steps if cost[count] <= RESAMPLE_SHARE * seconds), default=steps[0])
    return count, cost[count]


def paced(setting: Setting, constraints: Constraints, seed: int, count: int) -> float:
    """Mean measured seconds a step at `count` threads over the baseline and the default plan's candidates.

    Optimizers differ by a factor of three.
    """
    problem, profile = setting.problem, setting.profile
    if problem.loop is not None:
        return profile.step_s
    frame, shape = Frame(1000, seed, LOOKS, 0), shape_for(DEFAULT_PRICE)
    entered = candidates(problem, profile, setting.judge, constraints, frame, count=shape.recipes, second_losses=0)
    times = []
    bench = setting.bench_of(0, seed)
    with threads(count):
        for recipe in [baseline(problem, profile, frame), *(candidate.recipe for candidate in entered)]:
            try:
                training = start(bench, recipe)
                training.run(2)  # allocations and first calls
                began = time.perf_counter()
                while time.perf_counter() - began < PACE_S:
                    training.run(training.step + 1)
            except Exception:  # diverged, out of memory, or whatever a recipe does on this model
                continue  # the race will find out and say so
            times.append((time.perf_counter() - began) / max(training.step - 2, 1))
    return sum(times) / len(times) if times else profile.step_s


def _within(
    clock: Clock, wanted: Shape, length: int, setting: Setting, lanes: int, pace: float, metric_s: float, notes: list[str]
) -> tuple[Shape, int]:
    """The largest plan, and the length, that fit what is left of a budget."""
    given, budget_s = length, clock.budget_s or 0.0
    while True:
        for shape in [wanted, *reversed([s for s in SHAPES if s.price < wanted.price])]:
            enough = 2 if wanted.price >= 2 else 1  # below two plain trainings nothing is compared to the end: shorten instead
            if shape.price >= enough and _need(shape, length, setting, lanes, pace, metric_s) <= clock.left_s:
                if length != given:
                    shortened = f"the length is shortened from {given} to {length} steps"
                    notes.append(f"{shortened}, so that the budget of {spoken(budget_s)} buys plan {shape.price:g}")
                return shape, length
        if length // 2 < SHORTEST:
            least = SHAPES[0] if wanted.price < 2 else SHAPES[1]
            need = clock.spent_s + clock.reserve_s + _need(least, min(length, 2 * SHORTEST), setting, lanes, pace, metric_s)
            raise UsageError(f"a budget of {spoken(budget_s)} is too short even for the smallest plan; {_roundly(need)} would do")
        length //= 2


def _need(shape: Shape, length: int, setting: Setting, lanes: int, pace: float, metric_s: float) -> float:
    """Seconds of a plan with its resampling, the rest of the ending not counted: that is in the reserve."""
    shape = narrowed(shape, length)
    rungs = rungs_for(length, shape)
    wall = expected_wall(shape, length, rungs, shape.recipes + shape.second_losses, lanes)
    seconds = _seconds(wall, length, setting, pace, metric_s)
    return seconds + resampling(setting, shape, seconds, metric_s, bounded=True)[1]


def _seconds(trainings: float, length: int, setting: Setting, pace: float, metric_s: float) -> float:
    """Wall time of so many plain trainings, one after another, with their looks."""
    profile = setting.profile
    looks = looks_of(setting, length)
    share = look_rows_for(length, profile.batch_size, profile.valid_rows, looks, profile.second_share) / profile.valid_rows
    return trainings * (length * pace + looks * share * (profile.eval_s + metric_s))


def reserve(budget_s: float, setting: Setting, engine: str, judging_s: float = 0.0) -> float:
    """Seconds of a budget that training may not touch: until the lanes stand still, a cooldown and the end."""
    return engine_entry(engine).grace_s + max(RESERVE_SHARE * budget_s, 0.5) + _ending(setting, judging_s)


def _ending(setting: Setting, judging_s: float) -> float:
    """Seconds after the last step: resampling, valid and audit for winner, runner-up and baseline, and what no model changes."""
    profile = setting.profile
    return judging_s + ENDING_S + 3 * profile.eval_s * (1 + profile.audit_rows / profile.valid_rows)


def _roundly(need: float) -> str:
    """A budget that is sure to do, rounded up: to 5 s below a minute, to whole minutes above."""
    generous = 1.2 * need + 1  # the next attempt times its steps anew
    return f"about {5 * math.ceil(generous / 5)}s" if generous <= 60 else f"about {math.ceil(generous / 60)}m"
