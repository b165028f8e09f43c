"""What a price buys: our race and the peers on the records, with a prior that has not seen the family of the task.

Run: python benchmarks/price/report.py [--seeds 5] [--figure anytime.svg]
Needs optuna, and matplotlib for the figure. Regret of a task: (metric - reference) / (default - reference) on audit; the reference is the
recipe that is best on valid, trained on five more seeds; the default is AdamW's over its seeds. Tasks where default and reference lie
within two standard errors of each other have nothing to regain; they are listed and not averaged.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
from dataclasses import dataclass

import numpy as np
from peers import PEERS
from prior import eligible, held_out, known
from records import AUDIT, VALID, TaskRecords, load
from replayed import PLANS, Picked, race
from scale import CLEARLY, Scale, scale

from fallline._portfolio import WORST

SEEN = "fallline, only the task itself held out"
PRICES = (1.0, 2.0, 3.5, 8.0, 20.0)


def with_loss(task: TaskRecords, recipe: int) -> list[int]:
    """The same set-up with the task's other losses, where they were recorded."""
    row = task.rows[recipe % len(task.rows)]
    twins = [k for k, other in enumerate(task.rows) if other["name"] == row["name"] and other["loss"] > 0]
    twins.sort(key=lambda k: int(task.rows[k]["loss"]))
    return [k + (recipe - recipe % len(task.rows)) for k in twins]


def ours(task: TaskRecords, order: list[int], price: float) -> Picked:
    anchored = next((with_loss(task, recipe) for recipe in order if with_loss(task, recipe)), [])
    return race(task, order, PLANS[max(p for p in PLANS if p <= price)], anchored)


def whole_list(task: TaskRecords, order: list[int], price: float) -> float:
    """Audit of the best on valid among all candidates of a plan, were each of them trained in full."""
    rules = PLANS[max(p for p in PLANS if p <= price)]
    anchored = next((with_loss(task, recipe) for recipe in order if with_loss(task, recipe)), [])
    field = [*order[: rules.recipes], *anchored[: rules.losses]]
    ended = [recipe for recipe in field if math.isfinite(task.finals[recipe, VALID])]
    return float(task.finals[min(ended, key=lambda recipe: float(task.finals[recipe, VALID])), AUDIT])


@dataclass(frozen=True)
class Row:
    """Regrets on one task: who -> price -> mean over seeds."""

    name: str
    scale: Scale
    regrets: dict[str, dict[float, float]]
    ours: dict[float, Picked]
    whole_lists: dict[float, float]  # price -> regret of training a plan's candidates all in full and handing back the best on valid
    exhaustive: float  # audit of the recipe that is best on valid among all, of the seed that chose it
    curves: dict[str, list[list[tuple[float, float]]]]  # who -> a curve a seed: (price, regret)


def measured(job: tuple[str, int]) -> Row:
    """One task: our race and every peer."""
    name, seeds = job
    records = load()
    whole, among = known(records), eligible(records)
    task = records[name]
    of_task = scale(task)
    order = held_out(records, whole, name, among)
    picked = {price: ours(task, order, price) for price in PRICES}
    regrets = {"fallline": {price: of_task.regret(one.audit) for price, one in picked.items()}}
    alone = held_out(records, whole, name, among, family=False)
    regrets[SEEN] = {price: of_task.regret(ours(task, alone, price).audit) for price in PRICES}
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    for who, peer in PEERS.items():
        found = [peer(task, max(PRICES), seed, order) for seed in range(seeds)]
        regrets[who] = {}
        for price in PRICES:
            audits = [curve.at(price) for curve in found]
            each = [of_task.regret(audit) if math.isfinite(audit) else 1.0 for audit in audits]  # nothing yet: the default
            regrets[who][price] = float(np.mean(np.clip(each, -1.0, WORST)))
        curves[who] = [[(spent, of_task.regret(audit)) for spent, audit in curve.points] for curve in found]
    lists = {price: of_task.regret(whole_list(task, order, price)) for price in PRICES}
    return Row(name, of_task, regrets, picked, lists, float(task.finals[task.best_on_valid, AUDIT]), curves)


def equals_ours(row: Row, who: str, target: float) -> float:
    """The price at which a peer's mean regret first is no larger than ours; the dearest where it never is."""
    grid = np.arange(0.5, max(PRICES) + 0.01, 0.25)
    for price in grid:
        at = []
        for curve in row.curves[who]:
            had = [regret for spent, regret in curve if spent <= price + 1e-9]
            at.append(min(had[-1], WORST) if had and math.isfinite(had[-1]) else 1.0)
        if np.mean(at) <= target + 1e-9:
            return float(price)
    return max(PRICES)


def figure(rows: list[Row], path: str) -> None:
    """Mean regret by price, everybody."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "fallline"
    grid = np.geomspace(1, max(PRICES), 60)
    axes = pyplot.figure(figsize=(8, 4.5)).add_subplot()
    for who in PEERS:
        means = []
        for price in grid:
            at = []
            for row in rows:
                for curve in row.curves[who]:
                    had = [regret for spent, regret in curve if spent <= price + 1e-9]
                    at.append(float(np.clip(had[-1], -1.0, WORST)) if had and math.isfinite(had[-1]) else 1.0)
            means.append(np.mean(at))
        axes.plot(grid, means, label=who)
    cost = [np.mean([row.ours[price].price for row in rows]) for price in PRICES[:-1]]
    axes.plot(cost, [np.mean([row.regrets["fallline"][price] for row in rows]) for price in PRICES[:-1]], "ko-", label="fallline")
    axes.set(xscale="log", xlabel="price, in plain trainings", ylabel="mean regret (0: reference, 1: AdamW's default)")
    axes.set_xticks([1, 2, 3.5, 8, 20], ["1", "2", "3.5", "8", "20"])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def means(rows: list[Row]) -> None:
    """Mean regrets, everybody."""
    print(f"| mean regret at price | {' | '.join(f'{price:g}' for price in PRICES)} |\n|---|{'---|' * len(PRICES)}")
    for who in ("fallline", SEEN, *PEERS):
        print(f"| {who} | {' | '.join(f'{np.mean([row.regrets[who][price] for row in rows]):.3f}' for price in PRICES)} |")
    whole = " | ".join(f"{np.mean([row.whole_lists[price] for row in rows]):.3f}" for price in PRICES)
    print(f"| all of fallline's candidates in full, whatever the price | {whole} |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", help="write the anytime figure there, as SVG")
    args = parser.parse_args()
    names = list(load())
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        every = pool.map(measured, [(name, args.seeds) for name in names], chunksize=1)
    rows = [row for row in every if row.scale.shown]
    print(f"{len(rows)} of {len(every)} tasks have a gap beyond two standard errors; without one: ", end="")
    print(", ".join(row.name for row in every if not row.scale.shown) or "none", end="\n\n")
    means(rows)
    print(f"| what fallline's race cost | {' | '.join(f'{np.mean([row.ours[price].price for row in rows]):.2f}' for price in PRICES)} |")
    print("\n| peer | price at which it equals our 3.5, median over tasks (20: at the dearest or never) |\n|---|---|")
    for who in PEERS:
        print(f"| {who} | {np.median([equals_ours(row, who, row.regrets['fallline'][3.5]) for row in rows]):.1f} |")
    gains = [1 - row.regrets["fallline"][3.5] for row in rows]
    print(f"\nshare of the reference's gain that plan 3.5 has: median {np.median(gains):.0%}, worst {min(gains):.0%}")
    every_one = [row.scale.regret(row.exhaustive) for row in rows]
    print(f"every recipe trained in full, the best on valid handed back: mean regret {np.mean(every_one):.3f}")
    clear = [row for row in rows if row.scale.clear]
    luck = ", ".join(row.name for row in rows if not row.scale.clear)
    print(f"\nThe same on the {len(clear)} tasks with a gap beyond {CLEARLY:g} standard errors, without {luck}:\n")
    means(clear)
    every_one = [row.scale.regret(row.exhaustive) for row in clear]
    print(f"\nevery recipe trained in full, the best on valid handed back: mean regret {np.mean(every_one):.3f}")
    print("\n| task | default | reference | standard error | " + " | ".join(f"regret at {price:g}" for price in PRICES) + " |")
    print("|---|---|---|---|" + "---|" * len(PRICES))
    for row in every:
        cells = [f"{abs(row.scale.default):.5g}", f"{abs(row.scale.reference):.5g}", f"{row.scale.error:.2g}"]
        print("| " + " | ".join([row.name, *cells, *(f"{row.regrets['fallline'][price]:.2f}" for price in PRICES)]) + " |")
    if args.figure:
        figure(rows, args.figure)


if __name__ == "__main__":
    main()
