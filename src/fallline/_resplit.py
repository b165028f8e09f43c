"""Few examples: winner and baseline are trained again on other splits of the same rows, and the verdict is over splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fallline import _statistics as statistics
from fallline._bench import Diverged
from fallline._budget import DeadlineReached
from fallline._decide import Decided, overruled
from fallline._judge import link_of
from fallline._loop import LoopTraining
from fallline._problem import Problem
from fallline._race import Race
from fallline._recipe import Recipe
from fallline._setting import Setting, prepare
from fallline._step import start
from fallline._verdict import CONFIDENCE, status_of

FIRST_SEED = 1000  # seeds of the further splits lie apart from those of the race and its second seeds


def over_splits(race: Race, decided: Decided, setting: Setting, past: Sequence[Mapping[str, Any]], say: Callable[[str], None]) -> Decided:
    """The decision with its difference taken over splits: the race's own and those that the plan pays for.

    The variance is (1/J + n_audit / n_train) s^2 on J - 1 degrees of freedom: splits share rows, and s^2 / J alone would call
    differences real that are not. Source: Nadeau and Bengio (2003), Machine Learning 52, the corrected resampled t-test.
    """
    done = {event["seed"]: (float(event["mine"]), float(event["theirs"])) for event in past if event["event"] == "split"}
    pairs = [(decided.comparison.mine, decided.comparison.theirs)]
    try:
        for number in range(race.plan.shape.splits):
            seed = race.plan.seed + FIRST_SEED + number
            if seed not in done:
                say(f"split {number + 2} of {race.plan.shape.splits + 1}: {decided.winner.trial.name} and the baseline")
                done[seed] = _trained_on(_split_by(setting, seed), seed, decided.winner.trial.recipe, race)
            pairs.append(done[seed])
    except DeadlineReached:
        race.cut = True
    if len(pairs) == 1:
        return decided
    whole = np.array([pair for pair in pairs if np.isfinite(pair).all()])  # a training that diverged has no difference to average
    differences = whole[:, 0] - whole[:, 1]
    count, ratio = len(whole), race.bench.data.audit.size / race.bench.data.train.size
    diverged = count < len(pairs) or count < 2
    variance = np.inf if diverged else (1 / count + ratio) * float(differences.var(ddof=1))
    mean = float(differences.mean())
    low, high = statistics.two_sided(mean, variance, count - 1, CONFIDENCE)
    comparison = replace(
        decided.comparison,
        mine=float(whole[:, 0].mean()),
        theirs=float(whole[:, 1].mean()),
        difference=mean,
        interval=(low, high),
        standard_error=variance**0.5,
        status=status_of(race.bench.judge, low, high),
        covers="examples+seeds",
    )
    return overruled(race, replace(decided, comparison=comparison, splits=len(pairs)))


def _split_by(setting: Setting, seed: int) -> Problem:
    reopen = setting.problem.origin.reopen
    return setting.problem if reopen is None else reopen(seed)


def _trained_on(problem: Problem, seed: int, recipe: Recipe, race: Race) -> tuple[float, float]:
    """Audit values of the winner and of the baseline, trained in full on another split."""
    setting = prepare(problem, seed=seed, device=str(race.bench.device))
    mine, theirs = (_audit(setting, one, seed, race) for one in (recipe, race.plan.baseline))
    race.folder.journal.write("split", seed=seed, mine=mine, theirs=theirs, spent_s=race.clock.spent_s)
    return mine, theirs


def _audit(setting: Setting, recipe: Recipe, seed: int, race: Race) -> float:
    """The metric on audit of one recipe, trained in full on one split."""
    recipe = replace(recipe, seed=seed)
    bench = setting.bench_of(recipe.look_rows, seed)
    training = start(bench, recipe) if setting.problem.loop is None else LoopTraining.start(bench, recipe)
    try:
        training.advance(recipe.end, race.clock.pulse)
    except Diverged:
        return float("nan")
    outputs, targets = bench.outputs(training.final(), "audit")
    return setting.judge.value(outputs, targets, link_of(recipe, setting.problem))
