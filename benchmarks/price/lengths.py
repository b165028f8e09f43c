"""What knowing the length is worth: races by lists of recipes whose lrs are the same for every task, and by lists of others that move.

Run: python benchmarks/price/lengths.py [--lists 16]
The first block of space.toml beside the second; columns as in ablation.py. The second was drawn around the lrs that were best in the first,
so part of its gain is that its recipes lie closer; `both` may take from either. Before it: how the best lr of the first block goes with the
length from task to task, by a line over logarithms, through all tasks and with a level for each family of tasks.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
from ablation import lists, measured
from prior import eligible, known
from records import FIRST_BLOCK, Floats, TaskRecords, load
from replayed import PLANS
from scale import scale

from fallline import catalogue

NEARLY_BEST = 0.1  # of regret: recipes so far behind the best of a family count a third when its best lr is read off


def best_lrs(records: Mapping[str, TaskRecords], family: str) -> Floats:
    """log10 of the best lr of a family of optimizers, a task each: the mean over recipes with the first loss, the best counting most."""
    rows, found = next(iter(records.values())).rows, []
    plain = [k for k, row in enumerate(rows) if not row["loss"]]
    mine = [k for k in plain if catalogue.optimizer(rows[k]["optimizer"]["name"]).family == family]
    lrs = np.log10([rows[k]["optimizer"]["lr"] for k in mine])
    for regret in known(records).regret:
        better = np.fmin(regret[mine], regret[[k + len(rows) for k in mine]])
        weights = np.exp((better.min() - better) / NEARLY_BEST)
        found.append(weights @ lrs / weights.sum())
    return np.array(found)


def power(lengths: Floats, lrs: Floats, levels: Floats) -> str:
    """The power of the length, with its standard error."""
    design = np.column_stack([np.log10(lengths), levels])
    fit, *_ = np.linalg.lstsq(design, lrs)
    left = lrs - design @ fit
    variance = left @ left / (len(lrs) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return f"{fit[0]:.2f} ± {np.sqrt(variance[0, 0]):.2f}"


def powers() -> None:
    """How the best lr goes with the length from task to task."""
    records = load(rows=FIRST_BLOCK)
    lengths = np.array([float(task.facts["length"]) for task in records.values()])
    kinds = np.array([task.facts["family"] for task in records.values()])
    each = np.column_stack([kinds == kind for kind in sorted(set(kinds))]).astype(float)
    print("| optimizers | power of the length, over all tasks | within families of tasks |\n|---|---|---|")
    for family in ("adaptive", "matrix", "sgd"):
        lrs = best_lrs(records, family)
        print(f"| {family} | {power(lengths, lrs, np.ones((len(lrs), 1)))} | {power(lengths, lrs, each)} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=16)
    args = parser.parse_args()
    powers()
    records = load()
    scales = {name: scale(task) for name, task in records.items()}
    fixed = eligible(load(rows=FIRST_BLOCK))
    count = len(next(iter(records.values())).rows)
    first = [recipe % FIRST_BLOCK + count * (recipe // FIRST_BLOCK) for recipe in fixed]
    second = eligible(records)
    print(
        "\n| recipes | plan | mean regret | only the task held out | on clear tasks | only the task held out |\n|---|---|---|---|---|---|"
    )
    for name, among in (("first block", first), ("second block", second), ("both", [*first, *second])):
        apart, alone = (lists(records, args.lists, [], family=family, among=among) for family in (True, False))
        for price, rules in PLANS.items():
            far, near = (measured(records, rules, orders, scales) for orders in (apart, alone))
            cells = (f"{value:.3f}" for value in (far.regret, near.regret, far.clear, near.clear))
            print(f"| {name} | {price:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
