"""What each decision of the race is worth: one changed at a time, on the records, with a prior that has not seen the task's family.

Run: python benchmarks/price/ablation.py [--alone] [--without OPTIMIZER ...]
`--alone` holds out only the task itself; `--without` leaves an optimizer out of the portfolio of plain networks (no convolution, recurrence
or attention), where its steps may be dear.
Columns: mean and worst regret over the tasks with a gap, how many tasks end worse than the default by more than its seeds vary, mean price.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from prior import eligible, held_out, known
from records import AUDIT, TaskRecords, load
from replayed import Rules, race
from report import Scale, scale, with_loss

DEFAULT = Rules()


def variants() -> Iterator[tuple[str, Rules]]:
    yield "as it is", DEFAULT
    for count in (2, 3, 5, 6, 8):
        yield f"{count} recipes", replace(DEFAULT, recipes=count)
    for count in (0, 2, 3):
        yield f"{count} second losses", replace(DEFAULT, losses=count)
    for rung in (0.05, 0.15, 0.2):
        yield f"judged at {rung:.0%}", replace(DEFAULT, rung=rung)
    for finish in (1, 3):
        yield f"{finish} finished", replace(DEFAULT, finish=finish)
    for judged in ("now", "averaged", "best", "either"):
        yield f"judged by {judged}", replace(DEFAULT, judged=judged)
    for share in (0.0, 0.1, 0.3, 0.5):
        yield (
            f"at half the length dropped when {share:.0%} of the lead behind" if share else "nobody dropped at half",
            replace(DEFAULT, halfway=share),
        )
    for count in (2, 3, 4):
        yield f"{count} recipes, no second loss, 1 finished", replace(DEFAULT, recipes=count, losses=0, finish=1)
    yield "5 recipes, 3 to 30 %", replace(DEFAULT, recipes=5, middle=0.3, middle_keep=3)
    yield "8 recipes, 4 to 30 %", replace(DEFAULT, recipes=8, losses=2, middle=0.3, middle_keep=4)


def measured(records: Mapping[str, TaskRecords], rules: Rules, orders: Mapping[str, list[int]], scales: Mapping[str, Scale]) -> list[float]:
    """(mean regret, worst regret, tasks worse than the default, mean price)."""
    regrets, worse, prices = [], 0, []
    for name, task in records.items():
        order = orders[name]
        anchored = next((with_loss(task, recipe) for recipe in order if with_loss(task, recipe)), [])
        picked = race(task, order, rules, anchored)
        base = task.default[:, AUDIT]
        worse += bool(picked.audit > np.nanmean(base) + 2 * np.nanstd(base, ddof=1))
        prices.append(picked.price)
        if scales[name].shown:
            regrets.append(scales[name].regret(picked.audit))
    return [float(np.mean(regrets)), float(np.max(regrets)), float(worse), float(np.mean(prices))]


def allowed(task: TaskRecords, among: Sequence[int], without: Sequence[str]) -> list[int]:
    """The recipes that may be in a task's portfolio."""
    if task.facts["model_kind"] != "mlp":
        return list(among)
    return [recipe for recipe in among if task.rows[recipe % len(task.rows)]["optimizer"]["name"] not in without]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--alone", action="store_true", help="hold out only the task itself, not its family")
    parser.add_argument("--without", nargs="*", default=[], help="optimizers that plain networks do not try")
    args = parser.parse_args()
    records = load()
    whole, among = known(records), eligible(records)
    orders = {
        name: held_out(records, whole, name, allowed(task, among, args.without), family=not args.alone) for name, task in records.items()
    }
    scales = {name: scale(task) for name, task in records.items()}
    print("| policy | mean regret | worst | worse than default | price |\n|---|---|---|---|---|")
    for name, rules in variants():
        mean, worst, worse, price = measured(records, rules, orders, scales)
        print(f"| {name} | {mean:.3f} | {worst:.2f} | {worse:.0f} | {price:.2f} |")


if __name__ == "__main__":
    main()
