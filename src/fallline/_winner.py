"""Winner: who is best on valid alone, the simpler preferred where a gap is too small to mean anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline import catalogue
from fallline._entered import BASELINE, Entered
from fallline._verdict import example_variance

if TYPE_CHECKING:
    from fallline._race import Race

CHEAPER_WITHIN = 0.25  # of the paired standard error: a gap that small is no reason to prefer the dearer recipe
EQUALS_RESAMPLES = 100  # at most: they give the standard error to within 7 %, enough for a quarter of it


def winner_of(race: Race, pool: list[Entered]) -> Entered:
    """The best on valid; a simpler recipe within a quarter of the paired standard error of it is taken instead."""
    ranked = sorted(pool, key=lambda entry: (race.sign * (entry.value or 0.0), entry.trial.name))
    best = ranked[0]
    if any(entry.status != "finished" for entry in pool):
        return best
    targets = race.bench.targets("valid")
    equals = [best]
    for entry in ranked[1:]:
        if _simplicity(entry) >= _simplicity(best):
            continue  # it could not be taken instead, and resampling a metric is the dearest part of judging
        pair = entry.trial.name, best.trial.name
        if pair not in race.variances:  # asked once before further seeds, and again when all is decided
            race.variances[pair], _ = example_variance(
                race.bench.judge, race.outputs(entry, "valid"), race.outputs(best, "valid"), targets,
                units=race.bench.data.valid_units, resamples=min(race.plan.resamples, EQUALS_RESAMPLES), seed=race.plan.seed,
            )  # fmt: skip
        variance = race.variances[pair]
        if math.isfinite(variance) and abs((entry.value or 0.0) - (best.value or 0.0)) < CHEAPER_WITHIN * math.sqrt(variance):
            equals.append(entry)
    return min(equals, key=lambda entry: (_simplicity(entry), ranked.index(entry)))


def _simplicity(entry: Entered) -> tuple[int, int, int]:
    """Passes a step, state kept, and the number of parts beyond the plain ones; the baseline is simplest of all."""
    recipe = entry.trial.recipe
    if entry.trial.name == BASELINE or recipe.optimizer.own:
        return (0, 0, 0)
    optimizer = catalogue.optimizer(recipe.optimizer.name)
    schedule, clip = catalogue.schedule(recipe.schedule.name), catalogue.clip(recipe.clip.name)
    extras = [not schedule.flat, clip.build(recipe.clip.settings) is not None, recipe.average is not None, recipe.lr_change is not None]
    extras.append(recipe.body_lr is not None)
    return (optimizer.passes_per_step, optimizer.state_copies, sum(extras))
