"""Races with nothing to find: all candidates are the baseline's own recipe under other seeds. How often is one called better?

Run: python benchmarks/price/null.py [--races 400]
Each race draws its seeds from those recorded of a task: the baseline, its second seed, five candidates. It goes as plan 3.5 goes, and the
verdict is the product's own arithmetic on what was recorded, with the seed noise of tasks of other families.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence

import numpy as np
from prior import known, unseen
from records import AUDIT, VALID, TaskRecords, load

from fallline import _statistics as statistics
from fallline._decide import LATE
from fallline._portfolio import Facts
from fallline._verdict import CONFIDENCE, SeedNoise, assumed_noise

CANDIDATES = 5


def noise_of(task: TaskRecords, first: int, second: int, rung: float, usual: float) -> SeedNoise | None:
    """The seed noise that a race assumes: from two seeds of the baseline, read at every look up to rung one."""
    looks = [k for k, share in enumerate(task.looks) if 0.05 - 1e-9 <= share <= rung + 1e-9]
    pairs = [(float(task.base[first, k, VALID, 0]), float(task.base[second, k, VALID, 0])) for k in looks]
    level = float(task.base[first, -1, VALID, 0])
    late = [float(value) for value in task.base[first, task.looks >= LATE - 1e-9, VALID, 0]]
    return assumed_noise(pairs, str(task.facts["direction"]), level, usual, late)


def said(task: TaskRecords, seeds: Sequence[int], usual: float, rung: float = 0.1, finish: int = 2) -> str:
    """The verdict of one race among seeds: the first is the baseline, the second its twin, the others are candidates."""
    base, twin, *field = seeds
    field = sorted(field, key=lambda seed: task.base_at(seed, rung))[:finish]
    winner = min([base, *field], key=lambda seed: float(task.default[seed, VALID]))
    if winner == base:
        return "no difference shown"
    difference = float(task.default[winner, AUDIT] - task.default[base, AUDIT])
    variances = task.base_variance[np.isfinite(task.base_variance)]
    variance, df = float(np.median(variances)), float(task.facts["audit_rows"]) - 1
    noise = noise_of(task, base, twin, rung, usual)
    if noise is not None:
        variance, df = statistics.combine(variance, df, noise.of_difference(settles=False), noise.df)
    low, high = statistics.two_sided(difference, variance, df, CONFIDENCE)
    return "better" if high < 0 else "worse" if low > 0 else "no difference shown"


def rates(records: Mapping[str, TaskRecords], races: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Shares of verdicts a task, over races drawn evenly from all."""
    generator, whole = np.random.default_rng(seed), known(records)
    found: dict[str, dict[str, float]] = {}
    for name, task in records.items():
        usual, _ = unseen(records, whole, name).seed_noise(Facts.read(task.facts), task.facts["metrics"][0], str(task.facts["direction"]))
        there = [k for k in range(len(task.base)) if math.isfinite(task.default[k, VALID])]
        counts: dict[str, float] = dict.fromkeys(("better", "worse", "no difference shown"), 0.0)
        each = races // len(records)
        for _ in range(each):
            counts[said(task, [int(k) for k in generator.choice(there, CANDIDATES + 2, replace=False)], usual)] += 1 / each
        found[name] = counts
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=400)
    args = parser.parse_args()
    found = rates(load(), args.races)
    print("| task | better | worse |\n|---|---|---|")
    for name, counts in found.items():
        print(f"| {name} | {counts['better']:.1%} | {counts['worse']:.1%} |")
    for status in ("better", "worse"):
        print(f"{status}: {np.mean([counts[status] for counts in found.values()]):.1%} of races")


if __name__ == "__main__":
    main()
