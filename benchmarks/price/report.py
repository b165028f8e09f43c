"""What a price buys: our race and the peers on the records, with a prior that has not seen the family of the task.

Run: python benchmarks/price/report.py [--seeds 5] [--figure anytime.svg]
Needs optuna, and matplotlib for the figure. Regret of a task: (metric - reference) / (default - reference) on audit; the reference is the
recipe that is best on valid, trained on five more seeds; the default is AdamW's over its seeds. Tasks where default and reference lie
within two standard errors of each other have nothing to regain; they are listed and not averaged.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from peers import PEERS
from prior import eligible, held_out, known
from records import AUDIT, TaskRecords, load
from replayed import PLANS, Picked, race

PRICES = (1.0, 2.0, 3.5, 8.0, 20.0)


@dataclass(frozen=True)
class Scale:
    """What 0 and 1 mean on one task."""

    reference: float
    default: float
    error: float  # standard error of their difference

    @property
    def shown(self) -> bool:
        return self.default - self.reference > 2 * self.error

    def regret(self, audit: float) -> float:
        return (audit - self.reference) / (self.default - self.reference)


def scale(task: TaskRecords) -> Scale:
    base = task.default[:, AUDIT]
    base = base[np.isfinite(base)]
    again = task.reference
    error = math.hypot(base.std(ddof=1) / math.sqrt(len(base)), again.std(ddof=1) / math.sqrt(len(again)))
    return Scale(float(again.mean()), float(base.mean()), error)


def with_loss(task: TaskRecords, recipe: int) -> list[int]:
    """The same set-up with the task's other losses, where they were recorded."""
    row = task.rows[recipe % len(task.rows)]
    twins = [k for k, other in enumerate(task.rows) if other["name"] == row["name"] and other["loss"] > 0]
    twins.sort(key=lambda k: int(task.rows[k]["loss"]))
    return [k + (recipe - recipe % len(task.rows)) for k in twins]


def ours(task: TaskRecords, order: list[int], price: float) -> Picked:
    anchored = next((with_loss(task, recipe) for recipe in order if with_loss(task, recipe)), [])
    return race(task, order, PLANS[max(p for p in PLANS if p <= price)], anchored)


def table(records: Mapping[str, TaskRecords], seeds: int) -> tuple[dict[str, dict[float, list[float]]], dict[str, Scale]]:
    """Regrets: who -> price -> one a task (a mean over seeds)."""
    whole, among = known(records), eligible(records)
    scales = {name: scale(task) for name, task in records.items()}
    found: dict[str, dict[float, list[float]]] = {who: {price: [] for price in PRICES} for who in ("fallline", *PEERS)}
    for name, task in records.items():
        if not scales[name].shown:
            continue
        order = held_out(records, whole, name, among)
        for price in PRICES:
            found["fallline"][price].append(scales[name].regret(ours(task, order, price).audit))
        for who, peer in PEERS.items():
            curves = [peer(task, max(PRICES), seed, order) for seed in range(seeds)]
            for price in PRICES:
                audits = [curve.at(price) for curve in curves]
                regrets = [scales[name].regret(audit) if math.isfinite(audit) else 1.0 for audit in audits]
                found[who][price].append(float(np.mean(np.clip(regrets, -1, 2))))
    return found, scales


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    records = load()
    found, scales = table(records, args.seeds)
    print(
        f"{sum(s.shown for s in scales.values())} of {len(scales)} tasks have a gap: {', '.join(n for n, s in scales.items() if s.shown)}\n"
    )
    print(f"| mean regret at price | {' | '.join(f'{price:g}' for price in PRICES)} |\n|---|{'---|' * len(PRICES)}")
    for who, by_price in found.items():
        print(f"| {who} | {' | '.join(f'{np.mean(by_price[price]):.3f}' for price in PRICES)} |")


if __name__ == "__main__":
    main()
