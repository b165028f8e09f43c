"""What each decision of the race is worth: one changed at a time, on the records, with a prior that has not seen the task's family.

Run: python benchmarks/price/ablation.py [--lists 25] [--without OPTIMIZER ...]
One list of recipes differs from the next by luck: which of two nearly equal recipes comes first moves a mean by 0.05. So every policy is
tried with many lists, each learned from the tasks that are not held out, drawn anew with replacement (the first from all of them).
Columns: mean regret over lists and tasks with a gap, with the family held out and with only the task itself; the same on tasks whose gap is
beyond five standard errors, where luck moves it little; how many tasks end worse than the default by more than its seeds vary, and mean
price, both with the family held out. `--without` leaves an optimizer out of the portfolio of plain networks (no convolution, recurrence or
attention), where its steps may be dear.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from prior import SIZE, eligible, known, only, unseen
from records import AUDIT, TaskRecords, load
from replayed import PLANS, Rules, race
from report import with_loss
from scale import Scale, scale

from fallline._portfolio import Facts

DEFAULT = Rules()
LOOKED = 0.05  # of the length lie between recorded looks


def as_designed(task: TaskRecords, rules: Rules) -> Rules:
    """Rung one as design.md has it: a tenth, raised to 300 steps or two passes, up to a fifth; at the nearest recorded look."""
    length = float(task.facts["length"])
    first = max(0.1, min(300 / length, 2 / float(task.facts["passes"]), 0.2))
    return replace(rules, rung=round(first / LOOKED) * LOOKED)


def variants() -> Iterator[tuple[str, Rules]]:
    yield "as it is", DEFAULT
    for count in (2, 4, 5, 6, 8, 12):
        yield f"{count} recipes", replace(DEFAULT, recipes=count)
    for count in (0, 2, 3, 4):
        yield f"{count} second losses", replace(DEFAULT, losses=count)
    for rung in (0.05, 0.15, 0.2):
        yield f"judged at {rung:.0%}", replace(DEFAULT, rung=rung)
    for finish in (1, 3, 4):
        yield f"{finish} finished", replace(DEFAULT, finish=finish)
    for judged in ("now", "averaged", "best", "either"):
        yield f"judged by {judged}", replace(DEFAULT, judged=judged)
    yield "nobody dropped on the way", replace(DEFAULT, weeding=0.0)
    for weeding, behind in ((0.2, 0.05), (0.2, 0.2), (0.3, 0.02), (0.3, 0.1), (0.3, 0.2), (0.4, 0.05), (0.5, 0.05), (0.5, 0.2)):
        yield f"dropped at {weeding:.0%} when {behind:.0%} of the lead behind", replace(DEFAULT, weeding=weeding, behind=behind)
    for price in (8.0, 20.0):
        yield f"plan {price:g}: dropped at 50% when 5% of the lead behind", replace(PLANS[price], behind=0.05)
    for count in (2, 3, 4, 5):
        yield f"plan 2: {count} recipes", replace(PLANS[2.0], recipes=count)
    for count, keep, finish in ((6, 4, 2), (8, 4, 2), (8, 6, 3), (11, 4, 2), (11, 6, 2), (11, 6, 3), (16, 6, 3), (24, 4, 2), (24, 6, 3)):
        yield (
            f"plan 8: {count} recipes, {keep} to 30 %, {finish} finished",
            replace(PLANS[8.0], recipes=count, middle_keep=keep, finish=finish),
        )
    for count, keep, finish in ((16, 8, 6), (24, 12, 6), (32, 12, 6), (40, 8, 4), (40, 8, 6), (40, 11, 5), (40, 12, 8), (40, 20, 16)):
        yield (
            f"plan 20: {count} recipes, {keep} to 30 %, {finish} finished",
            replace(PLANS[20.0], recipes=count, middle_keep=keep, finish=finish),
        )


class Means(NamedTuple):
    """What a policy does."""

    regret: float  # on the tasks with a gap
    clear: float  # on those of them whose gap is wide
    worse: float  # tasks on which it ends worse than the default
    price: float


def measured(records: Mapping[str, TaskRecords], rules: Rules, orders: Mapping[str, list[list[int]]], scales: Mapping[str, Scale]) -> Means:
    """Means over tasks and their lists."""
    regrets, clear, worse, prices = [], [], [], []
    for name, task in records.items():
        for order in orders[name]:
            anchored = next((with_loss(task, recipe) for recipe in order if with_loss(task, recipe)), [])
            picked = race(task, order, rules, anchored)
            base = task.default[:, AUDIT]
            worse.append(bool(picked.audit > np.nanmean(base) + 2 * np.nanstd(base, ddof=1)))
            prices.append(picked.price)
            if scales[name].shown:
                regrets.append(scales[name].regret(picked.audit))
            if scales[name].clear:
                clear.append(regrets[-1])
    return Means(
        float(np.mean(regrets)), float(np.mean(clear)) if clear else math.nan, float(np.mean(worse)) * len(records), float(np.mean(prices))
    )


def by_rung(
    records: Mapping[str, TaskRecords],
    apart: Mapping[str, list[list[int]]],
    alone: Mapping[str, list[list[int]]],
    scales: Mapping[str, Scale],
) -> Iterator[str]:
    """Rung one at a tenth and as designed, on the tasks with a gap where the two differ."""
    rules: Mapping[str, Callable[[TaskRecords, Rules], Rules]] = {"a tenth": lambda _, plan: plan, "as designed": as_designed}
    chosen = {name: task for name, task in records.items() if scales[name].shown and as_designed(task, DEFAULT).rung > DEFAULT.rung}
    yield f"\n| plan | rung one, on {len(chosen)} tasks | mean regret | only the task held out | price |\n|---|---|---|---|---|"
    for price, (said, rule) in itertools.product((3.5, 8.0), rules.items()):
        far, near = (
            [measured({name: task}, rule(task, PLANS[price]), orders, scales) for name, task in chosen.items()] for orders in (apart, alone)
        )
        means = (np.mean([one.regret for one in far]), np.mean([one.regret for one in near]))
        yield f"| {price:g} | {said} | {means[0]:.3f} | {means[1]:.3f} | {np.mean([one.price for one in far]):.2f} |"


def lists(
    records: Mapping[str, TaskRecords], count: int, without: Sequence[str], *, family: bool, among: Sequence[int] | None = None
) -> dict[str, list[list[int]]]:
    """So many lists for each task: from all tasks that it may see, then from as many of them drawn with replacement."""
    whole, generator = known(records), np.random.default_rng(0)
    among = eligible(records) if among is None else among
    found = {}
    for name, task in records.items():
        seen, facts, those = unseen(records, whole, name, family=family), Facts.read(task.facts), allowed(task, among, without)
        drawn = [list(range(len(seen.tasks)))] + [list(generator.integers(len(seen.tasks), size=len(seen.tasks))) for _ in range(count - 1)]
        found[name] = [only(seen, kept).order(facts, SIZE, those) for kept in drawn]
    return found


def allowed(task: TaskRecords, among: Sequence[int], without: Sequence[str]) -> list[int]:
    """The recipes that may be in a task's portfolio."""
    if task.facts["model_kind"] != "mlp":
        return list(among)
    return [recipe for recipe in among if task.rows[recipe % len(task.rows)]["optimizer"]["name"] not in without]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=25)
    parser.add_argument("--without", nargs="*", default=[], help="optimizers that plain networks do not try")
    args = parser.parse_args()
    records = load()
    apart, alone = (lists(records, args.lists, args.without, family=family) for family in (True, False))
    scales = {name: scale(task) for name, task in records.items()}
    print("| policy | mean regret | only the task held out | on clear tasks | only the task held out | worse than default | price |")
    print("|---|---|---|---|---|---|---|")
    for name, rules in variants():
        far, near = (measured(records, rules, orders, scales) for orders in (apart, alone))
        cells = (f"{value:.3f}" for value in (far.regret, near.regret, far.clear, near.clear))
        print(f"| {name} | {' | '.join(cells)} | {far.worse:.1f} | {far.price:.2f} |", flush=True)
    print("\n".join(by_rung(records, apart, alone, scales)))


if __name__ == "__main__":
    main()
