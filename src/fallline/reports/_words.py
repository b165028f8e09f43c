"""A run's document in words: headline, recipe, candidates in the order of the table, files and what to type next."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fallline._counted import counted

OWN = "your own"
BASELINE = "baseline"
FELL = ("fell at", "not finished")  # how the race begins a reason of its own; other reasons say why a recipe was tried

COVERS = {
    "examples": "It covers which examples were drawn, not which seed.",
    "examples+seeds": "It covers which examples were drawn and which seed, whose effect was measured.",
    "examples+assumed seeds": "It covers which examples were drawn and which seed, whose effect is assumed.",
}


def number(value: Any) -> str:
    """Four significant digits, thousands left readable; a dash where there is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"


def better(direction: str) -> str:
    return "lower is better" if direction == "min" else "higher is better"


def headline(doc: Mapping[str, Any]) -> list[str]:
    """The verdict, in two or three sentences that need no statistics."""
    verdict, problem = doc["verdict"], doc["problem"]
    metric, kept = problem["metric"], verdict["winner"] == BASELINE
    values = f"{metric} {number(verdict['metric'])} against {number(verdict['baseline'])} ({better(problem['direction'])})"
    seen = f"on {counted(problem['audit'], 'audit example')} that had no say in the choice"
    low, high = (number(bound) for bound in verdict["interval"])
    interval = "interval unknown" if None in verdict["interval"] else f"interval {low} to {high}"
    span = f"Difference {number(verdict['difference'])}, {verdict['confidence']:.0%} {interval}."
    if kept and verdict.get("overruled"):
        return [
            f"The baseline is handed back: the best on valid is worse on audit: {values}, {seen}.",
            f"{span} {COVERS[verdict['covers']]}",
        ]
    if kept:
        failed = all(row["status"] == "failed" for row in doc["candidates"] if row["name"] != BASELINE)
        why = "no candidate could be trained" if failed else "no candidate was better on valid"
        return [f"The baseline is kept: {why}. Its {metric} is {number(verdict['baseline'])}, {seen}."]
    if verdict["baseline"] is None:
        failed = any(row["name"] == BASELINE and row["status"] == "failed" for row in doc["candidates"])
        why = "the baseline failed" if failed else "there was no time to judge the baseline"
        return [f"Nothing to compare with, {why}: {metric} {number(verdict['metric'])} ({better(problem['direction'])}), {seen}."]
    if verdict.get("compared_at") is not None:
        return [_early(doc, f"{values}, {seen}"), f"{span} {COVERS[verdict['covers']]}"]
    words = {
        "better": "Better than the baseline",
        "worse": "Worse than the baseline",
        "no difference shown": "No difference from the baseline shown",
    }
    return [f"{words[verdict['status']]}: {values}, {seen}.", f"{span} {COVERS[verdict['covers']]}"]


def _early(doc: Mapping[str, Any], values: str) -> str:
    """A comparison at a step where the baseline stopped short of its end: how both stood, and that this is no final result."""
    verdict, length = doc["verdict"], doc["problem"]["length_steps"]
    at, winner = verdict["compared_at"], verdict["winner"]
    stood = {"better": "ahead of the baseline", "worse": "behind the baseline", "no difference shown": "no different from the baseline"}
    planned = not doc["plan"]["shape"]["baseline_finishes"]
    end = next((row["stopped_at"] for row in doc["candidates"] if row["name"] == winner), at)
    later = f"{winner} was trained on to step {end:,}, the baseline was not" if end > at else "neither was trained further"
    return (
        f"Compared early, at step {at:,} of {length:,}, where {'this plan' if planned else 'the budget'} stops the baseline: "
        f"{winner} stood {stood[verdict['status']]} there, {values}. Neither figure is a final result: {later}."
        + (" A price of 2 trains both to the end." if planned else "")
    )


def setting(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return f"{len(value)} numbers"
    return str(value)


def part(table: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> str:
    """One part of a recipe: its name and its settings."""
    if table["name"] == "own":
        return OWN
    settings = [f"{name} {setting(value)}" for name, value in table.items() if name not in ("name", *without) and value is not None]
    return f"{table['name']} ({', '.join(settings)})" if settings else str(table["name"])


def recipe_lines(recipe: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The recipe, a choice a line."""
    optimizer = recipe["optimizer"]
    decay = "" if recipe["decay_on"] == "all" else "; decay on matrices, not on biases, norms and embeddings"
    lines = [("loss", part(recipe["loss"])), ("optimizer", part(optimizer, without=("lr",)) + decay)]
    if "lr" in optimizer:
        lines.append(("lr", f"{setting(optimizer['lr'])}{_lr_change(recipe)}{_body_lr(recipe)}"))
    lines += [("schedule", part(recipe["schedule"])), ("clip", part(recipe["clip"]))]
    average = recipe.get("average")
    lines.append(("average", f"of the weights, decay {setting(average['decay'])} a step" if average else "none"))
    kept = "the best of its looks at valid" if recipe["keep"] == "best" else "the last step"
    lines.append(("training", f"{counted(recipe['steps'], 'step')}, seed {recipe['seed']}, weights of {kept}{_cooldown(recipe)}"))
    return lines


def scale_line(origin: Mapping[str, Any]) -> list[tuple[str, str]]:
    """In what units the loss reads the target, where the door has changed them; metrics are in the user's."""
    scale = origin.get("scale")
    if not scale:
        return []
    location, spread = scale
    if isinstance(location, list):
        return [("target", "each column standardised for the loss; metrics are in your units")]
    return [("target", f"(target - {number(location)}) / {number(spread)} for the loss; metrics are in your units")]


def _lr_change(recipe: Mapping[str, Any]) -> str:
    change = recipe.get("lr_change")
    return f" at its peak, times {setting(change['factor'])} from step {change['at']:,} on" if change else " at its peak"


def _body_lr(recipe: Mapping[str, Any]) -> str:
    body = recipe.get("body_lr")
    return f"; times {setting(body['factor'])} for the body, all but {', '.join(body['head'])}" if body else ""


def _cooldown(recipe: Mapping[str, Any]) -> str:
    cooldown = recipe.get("cooldown")
    return f"; cut short: lr falls to zero from step {cooldown['at']:,} to {cooldown['at'] + cooldown['steps']:,}" if cooldown else ""


def candidates(doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The candidates as the table shows them: those that finished, best on valid first; then those that fell, the furthest first."""
    sign = 1.0 if doc["problem"]["direction"] == "min" else -1.0

    def place(row: Mapping[str, Any]) -> tuple[bool, bool, int, float]:
        finished, value = row["status"] == "finished", row["metric"]
        return (row["status"] == "failed", not finished, 0 if finished else -row["stopped_at"], math.inf if value is None else sign * value)

    return sorted(doc["candidates"], key=place)


def left_out(doc: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows that the table does not show, in one sentence; "" for none."""
    if not rows:
        return ""
    values = sorted(row["metric"] for row in rows if row["metric"] is not None)
    between = f", {doc['problem']['metric']} {number(values[0])} to {number(values[-1])}" if values else ""
    failed = sum(row["status"] == "failed" for row in rows)
    return f"Not shown: {len(rows)} more{between}{f', {failed} of them failed' if failed else ''}; all are in verdict.json."


def chosen(doc: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The row of the candidate whose recipe was handed back."""
    return next((row for row in rows if row["name"] == doc["verdict"]["winner"]), None)


def fate(doc: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """What became of a candidate."""
    status, at, reason = row["status"], row["stopped_at"], row["reason"]
    if status == "finished":
        return "finished"
    if status == "failed":
        return f"failed at step {at:,}: {reason}"
    if not at:
        return "did not start: out of time" if doc["verdict"]["cut_by_deadline"] else "did not start"
    if status == "cut" or reason.startswith(FELL):
        return str(reason)
    if row["name"] == BASELINE and not doc["verdict"]["cut_by_deadline"]:
        return f"trained to step {at:,}, for comparison"
    return f"stopped at step {at:,}: out of time" if doc["verdict"]["cut_by_deadline"] else f"stopped at step {at:,}"


def here(path: str | Path) -> str:
    """A path as short as it can be typed from the present folder."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def source_words(origin: Mapping[str, Any]) -> str:
    """The source and its door's options as they are typed; empty for a problem made in Python."""
    if not origin.get("source"):
        return ""
    words = [here(origin["source"])]
    for name, value in origin.get("options", {}).items():
        if value is not None and name != "seed":  # a recipe has its own seed
            words += [f"--{name.replace('_', '-')}", f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def next_commands(doc: Mapping[str, Any], folder: Path, origin: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to type next, each with what it does."""
    recipe, run = doc["recipe"], shlex.quote(here(folder))
    commands = [
        (f"fallline explain {recipe[kind]['name']}", f"what this {kind} does, when it suits and when not")
        for kind in ("loss", "optimizer")
        if recipe[kind]["name"] != "own"
    ]
    commands.append((f"fallline export {run} --to script", "this training as one plain PyTorch file"))
    source = source_words(origin)
    if source:
        commands.append((f"fallline train {source} --recipe {run}/recipe.toml", "train it again"))
        if doc["verdict"]["status"] != "better":
            commands.append((f"fallline check {source}", "whether something keeps this training from learning"))
    return commands
