"""Result: from a finished race to the verdict, its reasons in words, and the document that reports and JSON read."""

from __future__ import annotations

import math
import platform
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fallline import catalogue
from fallline._budget import spoken
from fallline._entered import Entered, shown
from fallline._judge import handed_back
from fallline._plan import Plan
from fallline._race import BASELINE, Race
from fallline._recipe import Recipe
from fallline._verdict import (
    BETTER,
    NO_DIFFERENCE,
    WORSE,
    Comparison,
    SeedNoise,
    compare,
    example_variance,
    measured_noise,
    upper_quartile_noise,
)

FEW_EXAMPLES = 500  # in all; below that one split cannot decide
CHEAPER_WITHIN = 0.25  # of the paired standard error: a gap that small is no reason to prefer the dearer recipe


@dataclass(frozen=True)
class Decided:
    """Who won on valid, and how it compares with the baseline on audit."""

    winner: Entered
    comparison: Comparison
    compared_at: int | None  # a step, where the baseline was not trained to the end
    overruled: bool  # audit said worse, so the baseline is handed back
    noise: SeedNoise | None


@dataclass(frozen=True)
class Verdict:
    """What `choose` gives: the recipe, the trained model in the user's units, and how sure it is."""

    recipe: Recipe
    model: nn.Module
    status: str
    baseline_model: nn.Module | None
    comparison: Comparison
    document: dict[str, Any]  # JSON schema 1

    @property
    def difference(self) -> float:
        """Metric of the recipe minus metric of the baseline, on audit."""
        return self.comparison.difference

    @property
    def interval(self) -> tuple[float, float]:
        return self.comparison.interval

    def __str__(self) -> str:
        return "\n".join([headline(self.document), *self.document["reasons"]])


def decide(race: Race) -> Decided | None:
    """The winner by valid alone, compared with the baseline on audit; None when no trial has a value."""
    leaders = race.leaders()
    if not leaders:
        return None
    finished = [entry for entry in leaders if entry.status == "finished"]
    pool = finished if any(entry.trial.name != BASELINE for entry in finished) else leaders
    winner = _cheapest_of_equals(race, pool)
    baseline, noise = race.baseline, seed_noise(race)
    at = None if baseline.status == "finished" else _common_step(winner, baseline)
    comparison = _compared(race, winner, baseline, noise, at)
    overruled = comparison.status == WORSE and at is None and winner is not baseline
    return Decided(baseline if overruled else winner, comparison, at, overruled, noise)


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
    return upper_quartile_noise([(mine[step], theirs[step]) for step in sorted(mine.keys() & theirs.keys()) if step <= second.step])


def _cheapest_of_equals(race: Race, pool: list[Entered]) -> Entered:
    """The best on valid; a simpler recipe within a quarter of the paired standard error of it is taken instead."""
    ranked = sorted(pool, key=lambda entry: (race.sign * (entry.value or 0.0), entry.trial.name))
    best = ranked[0]
    if any(entry.status != "finished" for entry in pool):
        return best
    targets = race.bench.data.targets("valid")
    equals = [best]
    for entry in ranked[1:]:
        variance, _ = example_variance(
            race.bench.judge, race.outputs(entry, "valid"), race.outputs(best, "valid"), targets,
            units=race.bench.data.valid_units, resamples=race.plan.resamples, seed=race.plan.seed,
        )  # fmt: skip
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
    return (optimizer.passes_per_step, optimizer.state_copies, sum(extras))


def _common_step(winner: Entered, baseline: Entered) -> int | None:
    steps = {m.step for m in winner.measured} & {m.step for m in baseline.measured}
    return max(steps) if steps else None


def _compared(race: Race, winner: Entered, baseline: Entered, noise: SeedNoise | None, at: int | None) -> Comparison:
    bench, data = race.bench, race.bench.data
    split = "audit"
    mine, theirs = race.outputs(winner, split, at), race.outputs(baseline, split, at)
    return compare(
        bench.judge, mine, theirs, data.targets(split), units=data.audit_units,
        noise=None if winner is baseline else noise, resamples=race.plan.resamples, seed=race.plan.seed,
    )  # fmt: skip


def verdict_of(race: Race, decided: Decided, problem_facts: dict[str, Any], plain_s: float) -> Verdict:
    """The public verdict, with everything that reports need in its document."""
    winner, comparison = decided.winner, decided.comparison
    status = (
        NO_DIFFERENCE
        if race.bench.data.train.size + race.bench.data.valid.size + race.bench.data.audit.size < FEW_EXAMPLES
        else comparison.status
    )
    problem = race.bench.problem
    baseline_done = race.baseline.status == "finished"
    document = {
        "schema": 1,
        "run": str(race.folder.folder),
        "versions": versions(),
        "problem": problem_facts,
        "recipe": winner.trial.recipe.to_dict(),
        "baseline_recipe": race.plan.baseline.to_dict(),
        "plan": race.plan.to_dict(),
        "verdict": {
            "status": status, "metric": comparison.mine, "baseline": comparison.theirs, "difference": comparison.difference,
            "interval": [_finite(bound) for bound in comparison.interval], "confidence": 0.95, "covers": comparison.covers,
            "seeds": decided.noise.seeds if decided.noise else 1, "cut_by_deadline": race.cut, "compared_at": decided.compared_at,
            "overruled": decided.overruled,
        },
        "cost": cost(race, plain_s),
        "candidates": [row(race, entry) for entry in ranked(race)],
        "artifacts": {"model": "model.safetensors", "recipe": "recipe.toml", "journal": "journal.jsonl", "report": None},
    }  # fmt: skip
    document["reasons"] = reasons(race, decided, document)
    model = race.model(winner)
    baseline_model = race.model(race.baseline) if baseline_done else None
    return Verdict(
        winner.trial.recipe, handed_back(model, winner.trial.recipe, problem), status,
        None if baseline_model is None else handed_back(baseline_model, race.plan.baseline, problem), comparison, document,
    )  # fmt: skip


def ranked(race: Race) -> list[Entered]:
    """All first-seed trials as the table shows them: finished first, then by how far they came, then by value; faults last."""
    entries = [entry for key, entry in race.entered.items() if "@" not in key]
    return sorted(
        entries,
        key=lambda e: (e.status == "failed", e.status != "finished", -e.step, race.sign * (e.value if e.value is not None else math.inf)),
    )


def row(race: Race, entry: Entered) -> dict[str, Any]:
    """One candidate as JSON schema 1 has it."""
    return {
        "name": entry.trial.name, "recipe": entry.trial.recipe.to_dict(), "family": entry.trial.recipe.family, "status": entry.status,
        "stopped_at": entry.step, "metric": None if entry.value is None else _finite(entry.value), "reason": entry.reason or entry.candidate.reason,
        "curve": [[step, _finite(value)] for step, value in (entry.measured[-1].looks if entry.measured else ())],
    }  # fmt: skip


def cost(race: Race, plain_s: float) -> dict[str, Any]:
    """What the race cost: `price_work` counts steps (in forward-backward passes) and looks by their measured share, `price_wall` time."""
    length, passes, evaluations, training = race.plan.length, 0.0, 0.0, 0.0
    for entry in race.entered.values():
        recipe = entry.trial.recipe
        a_step = 1 if recipe.optimizer.own else catalogue.optimizer(recipe.optimizer.name).passes_per_step
        passes += a_step * sum(m.steps for m in entry.measured)
        evaluations += sum(m.eval_s for m in entry.measured)
        training += sum(m.train_s for m in entry.measured)
    wall = race.clock.spent_s
    return {
        "wall_s": round(wall, 3), "steps": int(passes), "plain_training_s": round(plain_s, 3),
        "price_work": round(passes / length + (evaluations / plain_s if plain_s else 0.0), 3), "price_wall": round(wall / plain_s, 3) if plain_s else None,
        "training_s": round(training, 3), "evaluation_s": round(evaluations, 3),
    }  # fmt: skip


def reasons(race: Race, decided: Decided, document: dict[str, Any]) -> list[str]:
    """The verdict in words: how sure, what was tried, what fell where, what the runner-up would cost or gain."""
    said = []
    comparison, winner = decided.comparison, decided.winner
    direction = "lower" if comparison.direction == "min" else "higher"
    few = race.bench.data.train.size + race.bench.data.valid.size + race.bench.data.audit.size < FEW_EXAMPLES
    if few:
        said.append(f"With fewer than {FEW_EXAMPLES} examples in all, one split cannot decide between recipes; collect more data.")
    if decided.overruled:
        said.append("The winner on valid is worse than the baseline on audit, so the baseline is handed back.")
    elif winner.trial.name == BASELINE:
        said.append("No candidate was better than the baseline on valid, so the baseline is handed back.")
    if decided.compared_at is not None:
        said.append(f"Both were compared at step {decided.compared_at}; this plan does not train the baseline to the end.")
    if decided.noise is not None and winner.trial.name != BASELINE:
        sd = math.sqrt(decided.noise.variance)
        if decided.noise.df is None:
            said.append(
                f"Another seed is assumed to move a recipe's {comparison.metric} by about {shown(sd)} (two seeds of the baseline, early in training)."
            )
        else:
            said.append(
                f"Another seed moves a recipe's {comparison.metric} by about {shown(sd)} (measured on {decided.noise.seeds} seeds)."
            )
    failed = [entry for entry in race.entered.values() if entry.status == "failed"]
    said += [f"{entry.trial.name} failed: {entry.reason}." for entry in failed]
    runner = next((entry for entry in race.finished() if entry.trial.name not in (winner.trial.name, BASELINE)), None)
    if runner is not None and winner.value is not None and runner.value is not None:
        gap = abs(runner.value - winner.value)
        said.append(f"The runner-up, {runner.trial.name}, ends {shown(gap)} from it on valid ({comparison.metric}, {direction} is better).")
    if race.cut:
        said.append("The budget ended before the plan did; what was left out is marked in the table.")
    spent = document["cost"]
    said.append(f"It cost {spent['price_work']:.1f} plain trainings of work and {spoken(spent['wall_s'])}.")
    return said


def headline(document: dict[str, Any]) -> str:
    """The verdict in one line."""
    verdict, metric = document["verdict"], document["problem"]["metric"]
    low, high = verdict["interval"]
    span = f"[{shown(low)}, {shown(high)}]" if low is not None and high is not None else "unknown"
    word = {BETTER: "better than the baseline", WORSE: "worse than the baseline", NO_DIFFERENCE: "no difference from the baseline shown"}[
        verdict["status"]
    ]
    return f"{word}: {metric} {shown(verdict['metric'])} against {shown(verdict['baseline'])}, difference {shown(verdict['difference'])}, 95 % interval {span}"


def versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"fallline": version("fallline"), "torch": torch.__version__, "python": platform.python_version()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def plan_text(plan: Plan) -> str:
    """The plan as the command line prints it."""
    return "\n".join(plan.lines())
