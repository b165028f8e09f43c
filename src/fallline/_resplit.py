"""Few examples: winner and baseline are trained again on other splits of the same rows, and the verdict is over splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fallline import _statistics as statistics
from fallline._bench import Diverged
from fallline._decide import Decided
from fallline._judge import link_of
from fallline._loop import LoopTraining
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
    done = {event["seed"]: (event["mine"], event["theirs"]) for event in past if event["event"] == "split"}
    pairs = [(decided.comparison.mine, decided.comparison.theirs)]
    for number in range(race.plan.shape.splits):
        seed = race.plan.seed + FIRST_SEED + number
        if seed not in done:
            say(f"split {number + 2} of {race.plan.shape.splits + 1}: {decided.winner.trial.name} and the baseline")
            other = prepare(_split_by(setting, seed), seed=seed, device=str(setting.device))
            mine, theirs = (_audit(other, recipe, seed, race) for recipe in (decided.winner.trial.recipe, race.plan.baseline))
            done[seed] = (mine, theirs)
            race.folder.journal.write("split", seed=seed, mine=mine, theirs=theirs, spent_s=race.clock.spent_s)
        pairs.append(done[seed])
    differences = np.array([mine - theirs for mine, theirs in pairs])
    count, ratio = len(pairs), race.bench.data.audit.size / race.bench.data.train.size
    variance = (1 / count + ratio) * float(differences.var(ddof=1))
    mean = float(differences.mean())
    low, high = statistics.two_sided(mean, variance, count - 1, CONFIDENCE)
    comparison = replace(
        decided.comparison,
        mine=float(np.mean([mine for mine, _ in pairs])),
        theirs=float(np.mean([theirs for _, theirs in pairs])),
        difference=mean,
        interval=(low, high),
        standard_error=variance**0.5,
        status=status_of(race.bench.judge, low, high),
        covers="examples+seeds",
    )
    return replace(decided, comparison=comparison, splits=count)


def _split_by(setting: Setting, seed: int) -> Any:
    reopen = setting.problem.origin.reopen
    return setting.problem if reopen is None else reopen(seed)


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
    return setting.judge.value(outputs, targets, link_of(recipe))
