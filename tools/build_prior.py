"""Learn portfolio.toml from the records, and judge it on families of tasks that it has not seen.

Run: python tools/build_prior.py [--write]
Without `--write` it only prints: for each kind of task the order in which its recipes would be tried, and what the list is worth with one
task held out and with its whole family held out. The order itself is the product's (`fallline._portfolio`).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fallline import catalogue
from fallline._portfolio import LENGTH_POWER, LR_STEPS, WORST, Facts, Floats, Portfolio, name_of, relative_noise

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "price"))

import transferred  # noqa: E402  (it lies beside the benchmarks)
from records import AUDIT, VALID, TaskRecords, load  # noqa: E402  (it lies beside the benchmarks)

FILE = ROOT / "src" / "fallline" / "portfolio.toml"
COSTS = ROOT / "benchmarks" / "price" / "costs.json"
BEST_OF = 3  # the best is the mean of the three best, so that one lucky training does not set the scale
SEEDS_APART = 2.0  # a gap between default and best below so many deviations of a seed counts as that many
HARDLY_BEGUN = (
    0.2  # relative noise from which seeds differ in whether they have begun to learn (nuclei 0.5, next to it 0.1): no other task's
)
FEW_SEEDS = 3  # fewer say nothing of a deviation
WINDOW = 0.01  # averaged weights were recorded over about a hundredth of the length
SIZE = 40  # recipes that the dearest plan takes from the list

HEADER = f"""\
# The portfolio, written by tools/build_prior.py from benchmarks/price/records.npz; do not edit.
# An `lr` is that of {LR_STEPS:,} steps: at another length it was, and is, times (length / {LR_STEPS}) ** {LENGTH_POWER}.
# A `name` is for readers.
# `regret` of a task: one number a recipe, 0 = the best recorded, 1 = AdamW's default, cut at 2; `cost`: a step's time in AdamW's.
# `lr_within`: an lr within this factor of an optimizer's best loses less than a twentieth of what there is to gain.
# `shrinkage` is weight decay as lr x decay x steps; `average.share` the window of averaged weights as a share of the length.
# `width_exponent` of a family: the best lr goes with the fan-in to this power.
schema = 5
"""
LOST = 0.05  # of regret, a twentieth: what two nearly equal recipes of a list differ by
RATES = 5  # fewer recorded lrs make no parabola
FAR_OFF = 1.5  # regrets beyond say that lr is wrong, and not how the valley is shaped


def regrets(records: Mapping[str, TaskRecords]) -> Floats:
    """(tasks, recipes), NaN where nothing was recorded: the mean of the regrets on valid and on audit, less noisy than either."""
    found = []
    for task in records.values():
        both = []
        for split in (VALID, AUDIT):
            values = task.finals[:, split]
            best = float(np.sort(values[np.isfinite(values)])[:BEST_OF].mean())
            base = task.default[:, split]
            base = base[np.isfinite(base)]
            gap = max(float(base.mean()) - best, SEEDS_APART * float(base.std(ddof=1)) if len(base) > 1 else 0.0, 1e-12)
            both.append(np.where(np.isfinite(values), (values - best) / gap, WORST))
        regret = np.clip(np.mean(both, axis=0), 0.0, WORST)
        regret[~np.tile(task.recorded, 2)] = np.nan
        found.append(regret)
    return np.array(found)


def costs(records: Mapping[str, TaskRecords]) -> Floats:
    """(tasks, recipes) time of a training over that of AdamW's, as benchmarks/price/costs.py measured the steps of its optimizer."""
    measured = json.loads(COSTS.read_text(encoding="utf-8"))
    return np.array([[measured[name][row["optimizer"]["name"]] for row in task.rows] * 2 for name, task in records.items()])


def known(records: Mapping[str, TaskRecords]) -> Portfolio:
    """The records as a portfolio over all recipes, whatever loss they have; a recipe's number is that of the records."""
    some = next(iter(records.values()))
    return Portfolio(
        recipes=rows_of(some),
        cost=costs(records),
        tasks=tuple(records),
        facts=tuple(Facts.read(task.facts) for task in records.values()),
        regret=regrets(records),
        metrics=tuple(str(task.facts["metrics"][0]) for task in records.values()),
        directions=tuple(str(task.facts["direction"]) for task in records.values()),
        fans=tuple(float(task.facts["fan_in"]) for task in records.values()),
        noise=np.array([seed_noise(task, task.default[:, AUDIT]) for task in records.values()]),
        settled=np.array([seed_noise(task, task.reference[:, AUDIT] if len(task.reference) else np.empty(0)) for task in records.values()]),
    )


def seed_noise(task: TaskRecords, over_seeds: Floats) -> float:
    """The deviation of the metric over seeds, relative to what it is in proportion to; NaN where it says nothing of other tasks."""
    values = over_seeds[np.isfinite(over_seeds)] * task.sign
    if len(values) < FEW_SEEDS:
        return math.nan
    noise = float(values.std(ddof=1)) / (relative_noise(str(task.facts["direction"]), float(values.mean())) or math.nan)
    return noise if noise < HARDLY_BEGUN else math.nan


def eligible(records: Mapping[str, TaskRecords], *, extra: bool = False) -> list[int]:
    """The recipes a portfolio is made of: recorded everywhere, with the first loss of each task (losses are ranked by the profile), and
    where there are rows whose lrs move with the length, only they.

    Averages are no recipes of their own where the optimizer averages already. `extra`: also what needs a package not everybody has.
    """
    some = next(iter(records.values()))
    moving, found = any(row.get("moves") for row in some.rows), []
    for recipe in range(some.count):
        row = some.rows[recipe % len(some.rows)]
        entry = catalogue.optimizer(row["optimizer"]["name"])
        needs, averages = bool(entry.package) and not extra, recipe >= len(some.rows)
        if bool(row.get("moves")) != moving or row["loss"] or needs or (entry.switches and averages):
            continue
        if all(task.recorded[recipe % len(some.rows)] for task in records.values()):
            found.append(recipe)
    return found


def rows_of(task: TaskRecords) -> tuple[dict[str, Any], ...]:
    """All recorded recipes as rows of portfolio.toml; where two with one loss would be called the same, the later shows more of its lr."""
    rows, names = [row_of(task, recipe) for recipe in range(task.count)], set()
    for recipe, row in enumerate(rows):
        loss = task.rows[recipe % len(task.rows)]["loss"]
        if (row["name"], loss) in names:
            row["name"] = row_of(task, recipe, digits=3)["name"]
        names.add((row["name"], loss))
    return tuple(rows)


def row_of(task: TaskRecords, recipe: int, digits: int = 2) -> dict[str, Any]:
    """A recorded recipe as a row of portfolio.toml; its name shows so many digits of its lr."""
    row = task.rows[recipe % len(task.rows)]
    averaged = recipe >= len(task.rows)
    kept = {key: row[key] for key in ("optimizer", "schedule", "clip", "shrinkage") if key in row and row[key] != {"name": "none"}}
    found = {**kept, **({"average": {"share": WINDOW}} if averaged else {})}
    return {"name": name_of(found, digits), **found}


def without(whole: Portfolio, hidden: Sequence[int]) -> Portfolio:
    """The portfolio as it would be without some tasks."""
    return only(whole, [number for number in range(len(whole.tasks)) if number not in hidden])


def only(whole: Portfolio, kept: Sequence[int]) -> Portfolio:
    """The portfolio as it would be from these tasks; one may be named twice, as a bootstrap does."""
    named = {name: tuple(getattr(whole, name)[k] for k in kept) for name in ("tasks", "facts", "metrics", "directions", "fans")}
    return replace(whole, **named, **{name: getattr(whole, name)[kept] for name in ("regret", "cost", "noise", "settled")})


def unseen(records: Mapping[str, TaskRecords], whole: Portfolio, name: str, *, family: bool = True) -> Portfolio:
    """The portfolio without the family of a task, or only without the task itself; never with another task on the same data."""
    mine = records[name].facts["family"]
    hidden = {other for other in whole.tasks if data_of(other) == data_of(name)}
    hidden |= {other for other in whole.tasks if family and records[other].facts["family"] == mine}
    return without(whole, [k for k, other in enumerate(whole.tasks) if other in hidden])


def data_of(name: str) -> str:
    """The data of a task, which its name begins with."""
    return name.partition("_")[0]


def held_out(records: Mapping[str, TaskRecords], whole: Portfolio, name: str, among: Sequence[int], *, family: bool = True) -> list[int]:
    """The order for one task, learned without its family, or only without itself."""
    return unseen(records, whole, name, family=family).order(Facts.read(records[name].facts), SIZE, among)


def lr_within(records: Mapping[str, TaskRecords], whole: Portfolio) -> dict[str, float]:
    """For each optimizer with enough recorded lrs: within what factor of its best lr less than LOST of regret is lost.

    On every task a parabola of regret over log lr is fitted to the set-ups with the plain loss, the better of raw and averaged weights; the
    median of the curvatures counts.
    """
    rows = next(iter(records.values())).rows
    plain: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if not row["loss"]:
            plain.setdefault(str(row["optimizer"]["name"]), []).append(number)
    found = {}
    for name, numbers in plain.items():
        if len({rows[number]["optimizer"]["lr"] for number in numbers}) < RATES:
            continue
        curvatures = []
        for task, regret in zip(records.values(), whole.regret, strict=True):
            rates = np.log10([task.lr_of(number) for number in numbers])
            better = np.fmin(regret[numbers], regret[[number + len(rows) for number in numbers]])
            near = better < FAR_OFF  # NaN is not
            if near.sum() > 3:  # three points lie on a parabola whatever they say
                curvatures.append(np.polyfit(rates[near], better[near], 2)[0])
        curvature = float(np.median(curvatures)) if curvatures else 0.0
        if curvature > 0:
            found[name] = round(10 ** math.sqrt(LOST / curvature), 1)
    return found


def width_exponent() -> dict[str, float]:
    """For each family of optimizers: the power of the fan-in with which the best lr went (benchmarks/price/transfer.md)."""
    found = transferred.exponents(transferred.known(), "width")
    return {catalogue.optimizer(name).family: round(median, 2) for name, (median, error) in found.items() if abs(median) > 2 * error}


def worth(whole: Portfolio, orders: Mapping[str, list[int]], count: int) -> float:
    """Mean over tasks of the best regret among the first `count` recipes of each task's order."""
    return float(np.mean([whole.regret[k, orders[name][:count]].min() for k, name in enumerate(whole.tasks)]))


def written(records: Mapping[str, TaskRecords], whole: Portfolio, among: Sequence[int]) -> str:
    """portfolio.toml."""
    lines = [HEADER, f"lr_within = {_toml(lr_within(records, whole))}"]
    lines += [f"width_exponent = {_toml(width_exponent())}", ""]
    for recipe in among:
        lines += [
            "[[recipe]]",
            *(f"{key} = {_toml(value)}" for key, value in whole.recipes[recipe].items()),
            "",
        ]
    for number, (name, task) in enumerate(records.items()):
        facts = task.facts
        lines += [
            "[[task]]",
            f"name = {_toml(name)}",
            *(f"{key} = {_toml(facts[key])}" for key in ("task", "model_kind", "passes", "fan_in", "normalisation", "direction")),
        ]
        lines.append(f"metric = {_toml(facts['metrics'][0])}")
        noise, settled = (float(f"{value:.3g}") for value in (whole.noise[number], whole.settled[number]))
        lines += [f"noise = {noise}", f"settled = {settled}"]
        cost = {str(whole.recipes[recipe]["optimizer"]["name"]): float(whole.cost[number, recipe]) for recipe in among}
        lines.append(f"cost = {_toml(dict(sorted(cost.items())))}")
        lines += [f"regret = [{', '.join(f'{value:.2f}' for value in whole.regret[number, among])}]", ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(_toml(inner) for inner in value)}]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write portfolio.toml")
    args = parser.parse_args()
    records = load()
    whole = known(records)
    among = eligible(records)
    some = next(iter(records.values()))
    print(f"{len(among)} recipes on {len(records)} tasks\n")
    print("| list of | with the task held out | with its family held out | in hindsight, one list for all |\n|---|---|---|---|")
    alone = {name: held_out(records, whole, name, among, family=False) for name in records}
    families = {name: held_out(records, whole, name, among) for name in records}
    together = {name: whole.order(Facts.read(task.facts), SIZE, among) for name, task in records.items()}
    for count in (1, 2, 3, 4, 6, 8, 16):
        print(f"| {count} | {worth(whole, alone, count):.3f} | {worth(whole, families, count):.3f} | {worth(whole, together, count):.3f} |")
    for facts in dict.fromkeys(whole.facts):
        order = whole.order(facts, SIZE, among)
        print(f"\n{facts}:\n  {', '.join(some.name_of(recipe) for recipe in order)}")
    if args.write:
        with_extra = eligible(records, extra=True)
        FILE.write_text(written(records, whole, with_extra), encoding="utf-8")
        print(f"\nwrote {FILE}")


if __name__ == "__main__":
    main()
