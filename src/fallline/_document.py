"""The document of a finished race: JSON schema 1, and its reasons in words. Reports read nothing else."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any

import torch

from fallline import catalogue
from fallline._budget import spoken
from fallline._decide import Decided, few_examples
from fallline._entered import BASELINE, Entered, shown
from fallline._plan import FEW_EXAMPLES
from fallline._portfolio import portfolio
from fallline._race import Race
from fallline._recipe import Recipe
from fallline._verdict import BETTER, CONFIDENCE, NO_DIFFERENCE, WORSE

WORDS = {
    BETTER: "better than the baseline",
    WORSE: "worse than the baseline",
    NO_DIFFERENCE: "no difference from the baseline shown",
}


def document_of(race: Race, decided: Decided, problem_facts: dict[str, Any], plain_s: float) -> dict[str, Any]:
    """Everything that is said of a race, as plain JSON."""
    winner, comparison = decided.winner, decided.comparison
    few = few_examples(race) and decided.splits == 1
    document = {
        "schema": 1,
        "run": str(race.folder.folder),
        "versions": {"fallline": version("fallline"), "torch": torch.__version__, "python": platform.python_version()},
        "problem": problem_facts,
        "recipe": winner.trial.recipe.to_dict(),
        "baseline_recipe": race.baseline.trial.recipe.to_dict(),
        "plan": race.plan.to_dict(),
        "verdict": {
            "status": NO_DIFFERENCE if few else comparison.status,
            "splits": decided.splits,
            "metric": finite(comparison.mine),
            "baseline": finite(comparison.theirs),
            "difference": finite(comparison.difference),
            "interval": [finite(bound) for bound in comparison.interval],
            "confidence": CONFIDENCE,
            "covers": comparison.covers,
            "seeds": decided.noise.seeds if decided.noise else 1,
            "cut_by_deadline": race.cut,
            "compared_at": decided.compared_at,
            "overruled": decided.overruled,
            "winner": winner.trial.name,
            "lr_interval": None if winner is race.baseline else lr_interval(winner.trial.recipe),
        },
        "cost": cost(race, plain_s, decided.splits),
        "candidates": [row(race, entry) for entry in ranked(race)],
        "artifacts": {"model": "model.safetensors", "recipe": "recipe.toml", "journal": "journal.jsonl", "report": None},
    }
    said = []
    if few:
        said.append(f"With fewer than {FEW_EXAMPLES} examples in all, one split cannot decide between recipes.")
        said.append("Collect more data, or pay a price of 8 for more splits of the same rows.")
    document["reasons"] = said + reasons(race, decided, document)
    return document


def lr_interval(recipe: Recipe) -> list[float] | None:
    """The lrs about a recipe's own that lose next to nothing, as recorded tasks have it; None where they say nothing of its optimizer."""
    factor = None if recipe.optimizer.own else portfolio().lr_within.get(recipe.optimizer.name)
    return None if factor is None or recipe.lr is None else [float(f"{recipe.lr * times:.3g}") for times in (1 / factor, factor)]


def ranked(race: Race) -> list[Entered]:
    """All first-seed trials as the table shows them: finished first, then by how far they came, then by value; faults last."""

    def place(entry: Entered) -> tuple[bool, bool, int, float]:
        value = math.inf if entry.value is None else race.sign * entry.value
        return (entry.status == "failed", entry.status != "finished", -entry.step, value)

    return sorted((entry for key, entry in race.entered.items() if "@" not in key), key=place)


def row(race: Race, entry: Entered) -> dict[str, Any]:
    """One candidate as JSON schema 1 has it."""
    return {
        "name": entry.trial.name,
        "recipe": entry.trial.recipe.to_dict(),
        "family": entry.trial.recipe.family,
        "status": entry.status,
        "stopped_at": entry.step,
        "metric": None if entry.value is None else finite(entry.value),
        "reason": entry.reason or entry.candidate.reason,
        "curve": [[step, finite(value)] for step, value in (entry.measured[-1].looks if entry.measured else ())],
    }


def cost(race: Race, plain_s: float, splits: int = 1) -> dict[str, Any]:
    """What the race cost: `price_work` counts steps (in forward-backward passes) and looks by their measured share, `price_wall` time.

    Ways that were cut off short of their goal are in it.
    """
    passes = 2.0 * race.plan.length * (splits - 1)  # winner and baseline, on each further split
    evaluation = training = 0.0
    ways = [measurement for entry in race.entered.values() for measurement in entry.measured]
    for way in [*ways, *(way for way in race.unfinished if way.trial in race.entered)]:
        recipe = race.entered[way.trial].trial.recipe
        a_step = 1 if recipe.optimizer.own else catalogue.optimizer(recipe.optimizer.name).passes_per_step
        passes += a_step * way.steps
        evaluation += way.eval_s
        training += way.train_s
    wall = race.clock.spent_s
    slowed_s = plain_s * race.plan.estimate.get("slowdown", 1.0)  # a plain training beside others, as these evaluations were
    return {
        "wall_s": round(wall, 3),
        "steps": int(passes),
        "plain_training_s": round(plain_s, 3),
        "price_work": round(passes / race.plan.length + (evaluation / slowed_s if slowed_s else 0.0), 3),
        "price_wall": round(wall / plain_s, 3) if plain_s else None,
        "training_s": round(training, 3),
        "evaluation_s": round(evaluation, 3),
        "race_s": round(race.seconds, 3),  # of wall_s, from the first step of the race to the last
        "lane_s": round(race.seconds * race.plan.abreast, 3),  # training and evaluation lie in it
    }


def reasons(race: Race, decided: Decided, document: dict[str, Any]) -> list[str]:
    """The verdict in words: how sure, what failed, what the runner-up would cost or gain, what it cost."""
    said = []
    comparison, winner, noise = decided.comparison, decided.winner, decided.noise
    metric = comparison.metric
    better = "lower" if comparison.direction == "min" else "higher"
    if decided.overruled:
        said.append("The winner on valid is worse than the baseline on audit, so the baseline is handed back.")
    elif winner.trial.name == BASELINE:
        said.append("No candidate was better than the baseline on valid, so the baseline is handed back.")
    if race.baseline.value is None and race.baseline.status != "failed":
        said.append("The time was over before the baseline could be judged, so there is nothing to compare with.")
    if race.baseline.status == "failed" and winner is not race.baseline:
        said.append("The baseline failed, so there is no difference to measure: what could be trained is preferred to what could not.")
    if decided.compared_at is not None:
        said.append(f"Both were compared as they stood at step {decided.compared_at:,}: the baseline was not trained to the end.")
    if decided.splits > 1:
        said.append(f"The difference is the mean over {decided.splits} splits of the same rows, each with its own seed.")
        said.append("Rows that chose the winner on the first split are among the audit rows of the others.")
    elif noise is not None and winner.trial.name != BASELINE:
        size = f"{metric} by about {shown(math.sqrt(noise.variance))}"
        if noise.assumed:
            said.append(f"Another seed is assumed to move a recipe's {size}, from two of the baseline and from recorded tasks.")
        else:
            said.append(f"Another seed moves a recipe's {size} (measured on {noise.seeds} seeds).")
    said += [f"{_seeded(name)} failed: {entry.reason}." for name, entry in race.entered.items() if entry.status == "failed"]
    said += _seated(race)
    runner = next((entry for entry in race.finished() if entry.trial.name not in (winner.trial.name, BASELINE)), None)
    if runner is not None and winner.value is not None and runner.value is not None:
        gap = race.sign * (runner.value - winner.value)
        side = "behind" if gap >= 0 else "ahead, within a quarter of the noise, but dearer"
        said.append(f"The runner-up, {runner.trial.name}, ends {shown(abs(gap))} {side} on valid ({metric}, {better} is better).")
    span = document["verdict"]["lr_interval"]
    if span is not None:
        name, lr = winner.trial.recipe.optimizer.name, winner.trial.recipe.lr
        said.append(
            f"On recorded tasks {name} loses less than a twentieth of the gain within a factor of {portfolio().lr_within[name]:g} of its "
            f"best lr; if {lr:.3g} is that here, {span[0]:.2g} to {span[1]:.2g} will do."
        )
    said += race.left_out
    if race.cut:
        said.append("The budget ended before the plan did; what was left out is marked in the table.")
    spent = document["cost"]
    said.append(f"It cost {spent['price_work']:.1f} plain trainings of work and {spoken(spent['wall_s'])}.")
    return said


def _seated(race: Race) -> list[str]:
    """Who went on from rung one although some that fell there were ahead: without a reason the table would look wrong."""
    first, name = race.plan.rungs[0], race.bench.judge.metric.name
    entries = [race.entered[candidate.name] for candidate in race.plan.candidates if candidate.name in race.entered]
    fallen = [race.sign * (entry.value or 0.0) for entry in entries if entry.reason.startswith(f"fell at step {first:,}:")]
    said = []
    for entry in entries:
        then, schedule = entry.at(first), entry.trial.recipe.schedule
        if entry.status != "finished" or then is None or then.value is None or schedule.own:
            continue
        unpeaked = catalogue.schedule(schedule.name).peaks_at * race.plan.length > first
        if unpeaked and race.sign * then.value > min(fallen, default=math.inf):
            reached = f"{entry.trial.name} went on from step {first:,} with {name} {shown(then.value)}, behind some that fell there"
            said.append(f"{reached}: its lr had not peaked yet, and one seat is kept for such a recipe.")
    return said


def _seeded(name: str) -> str:
    """A trial's name with its seed in words."""
    candidate, _, seed = name.partition("@")
    return f"{candidate} (seed {seed})" if seed else candidate


def headline(document: dict[str, Any]) -> str:
    """The verdict in one line."""
    verdict, metric = document["verdict"], document["problem"]["metric"]
    low, high = verdict["interval"]
    span = f"[{shown(low)}, {shown(high)}]" if low is not None and high is not None else "unknown"
    figures = f"{metric} {shown(verdict['metric'])} against {shown(verdict['baseline'])}, difference {shown(verdict['difference'])}"
    early = "" if verdict["compared_at"] is None else f"at step {verdict['compared_at']:,}, not at the end, "
    return f"{early}{WORDS[verdict['status']]}: {figures}, 95 % interval {span}"


def finite(value: float) -> float | None:
    """JSON has no NaN and no infinity; both become null."""
    return value if math.isfinite(value) else None
