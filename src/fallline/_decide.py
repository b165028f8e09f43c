"""Deciding: who won on valid alone, and how the winner compares with the baseline on audit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fallline import catalogue
from fallline._entered import BASELINE, Entered
from fallline._plan import FEW_EXAMPLES
from fallline._race import Race
from fallline._verdict import BETTER, NO_DIFFERENCE, WORSE, Comparison, SeedNoise, assumed_noise, compare, measured_noise
from fallline._winner import winner_of

LATE = 0.75  # from here on looks tell whether the baseline has come to rest: five of twenty (benchmarks/price/null.py), three of ten


@dataclass(frozen=True)
class Decided:
    """Who won on valid, and how it compares with the baseline on audit."""

    winner: Entered
    comparison: Comparison
    compared_at: int | None  # a step, where the baseline was not trained to the end
    overruled: bool  # audit said worse, so the baseline is handed back
    noise: SeedNoise | None
    splits: int = 1  # of the same rows, on which winner and baseline were trained


def decide(race: Race) -> Decided | None:
    """The winner by valid alone, compared with the baseline on audit; None when no trial has a value."""
    leaders, baseline = race.leaders(), race.baseline
    if not leaders:
        return None
    finished = [entry for entry in leaders if entry.status == "finished"]
    winner = winner_of(race, finished or leaders)
    if baseline.status == "failed":
        return Decided(winner, _uncompared(race, winner), None, False, None)
    noise = seed_noise(race)
    at = None if baseline.status == "finished" else _common_step(winner, baseline)
    if at is None and baseline.status != "finished":
        return Decided(winner, _uncompared(race, winner), None, False, None)
    comparison = _compared(race, winner, baseline, noise, at)
    decided = Decided(winner, comparison, at, False, noise)
    return decided if race.plan.shape.splits or few_examples(race) else overruled(race, decided)


def overruled(race: Race, decided: Decided) -> Decided:
    """The decision as it is, or the baseline where audit says that the winner on valid is worse and both trained to the end."""
    if decided.comparison.status == WORSE and decided.compared_at is None and decided.winner is not race.baseline:
        return replace(decided, winner=race.baseline, overruled=True)
    return decided


def few_examples(race: Race) -> bool:
    """Whether one split of these examples cannot decide."""
    data = race.bench.data
    return data.train.size + data.valid.size + data.audit.size < FEW_EXAMPLES


def _uncompared(race: Race, winner: Entered) -> Comparison:
    """Without a baseline to compare with: where it failed, what could be trained is better than what could not, by no number."""
    outputs, metric = race.outputs(winner, "audit"), race.bench.judge.metric
    value = race.bench.judge.value(outputs.outputs, race.bench.targets("audit"), outputs.link)
    status = BETTER if winner.status == "finished" and race.baseline.status == "failed" else NO_DIFFERENCE
    return Comparison(metric.name, metric.direction, value, math.nan, math.nan, (-math.inf, math.inf), math.inf, status, "examples")


def seed_noise(race: Race) -> SeedNoise | None:
    """Measured where several seeds ran to the end; else assumed from two seeds of the baseline up to rung one."""
    names = [BASELINE, *(entry.trial.name for entry in race.finished())]
    groups = []
    for name in dict.fromkeys(names):
        values = [entry.final for entry in [race.entered[name], *race.twins(name)] if entry.final is not None]
        if len(values) > 1:
            groups.append(values)
    measured = measured_noise(groups, max((len(group) for group in groups), default=1))
    if measured is not None:
        return measured
    second = next(iter(race.twins(BASELINE)), None)
    if second is None or not second.measured or not race.baseline.measured:
        return None
    mine, theirs = (
        dict(entry.measured[-1].looks) | {m.step: m.value for m in entry.measured if m.value is not None}
        for entry in (race.baseline, second)
    )
    pairs = [(mine[step], theirs[step]) for step in sorted(mine.keys() & theirs.keys()) if step <= second.step]
    plan = race.plan
    late = [value for step, value in race.baseline.measured[-1].looks if step >= LATE * plan.length and value is not None]
    found = assumed_noise(pairs, race.bench.judge.metric.direction, race.baseline.value or 0.0, plan.seed_noise, late)
    return None if found is None else replace(found, settled=plan.settled_noise)


def _common_step(winner: Entered, baseline: Entered) -> int | None:
    steps = {m.step for m in winner.measured if not m.fault} & {m.step for m in baseline.measured if not m.fault}
    return max(steps) if steps else None


def _compared(race: Race, winner: Entered, baseline: Entered, noise: SeedNoise | None, at: int | None) -> Comparison:
    bench, data = race.bench, race.bench.data
    split = "audit"
    mine, theirs = race.outputs(winner, split, at), race.outputs(baseline, split, at)
    return compare(
        bench.judge, mine, theirs, bench.targets(split), units=data.audit_units,
        noise=None if winner is baseline else noise, resamples=race.plan.resamples, seed=race.plan.seed, settles=_settles(winner, at),
    )  # fmt: skip


def _settles(entry: Entered, at: int | None) -> bool:
    """Whether what is compared is the end of a training whose lr falls, or an average: both leave less to the seed than a constant lr."""
    recipe = entry.trial.recipe
    return at is None and not recipe.schedule.own and (recipe.average is not None or not catalogue.schedule(recipe.schedule.name).flat)
