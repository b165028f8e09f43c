"""What further seeds are worth to a verdict: how often "better" is said where nothing differs, and where the best recipe stands against
the default, when the noise of a seed is measured on two seeds of the baseline and of one finalist, or of two.

Run: python benchmarks/price/seeds.py [--races 400]
Races are drawn from recorded seeds: ten of the default, five of each task's best recipe. Where nothing differs the winner is the best on
valid of the default and four more of its seeds.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
from records import AUDIT, VALID, TaskRecords, load

from fallline import _statistics as statistics
from fallline._verdict import CONFIDENCE, measured_noise

FINALISTS = 4


def better(task: TaskRecords, winner: float, base: float, groups: Sequence[Sequence[float]]) -> bool:
    """What the product's arithmetic says of one pair of trainings on audit, the noise measured on groups of seeds."""
    noise = measured_noise([list(group) for group in groups], 2)
    assert noise is not None
    examples = float(np.median(task.base_variance[np.isfinite(task.base_variance)]))
    variance, df = statistics.combine(examples, float(task.facts["audit_rows"]) - 1, noise.of_difference(settles=False), noise.df)
    return statistics.two_sided(winner - base, variance, df, CONFIDENCE)[1] < 0


def under_the_null(task: TaskRecords, seeded: int, generator: np.random.Generator) -> bool:
    there = [k for k in range(len(task.base)) if math.isfinite(task.default[k, VALID])]
    base, twin, *others = (int(k) for k in generator.permutation(there))
    winner = min([base, *others[:FINALISTS]], key=lambda k: float(task.default[k, VALID]))
    if winner == base:
        return False
    rest = [k for k in others if k != winner]
    audit = task.default[:, AUDIT]
    groups = [(audit[base], audit[twin]), (audit[winner], audit[rest[0]]), (audit[rest[1]], audit[rest[2]])]
    return better(task, audit[winner], audit[base], groups[: 1 + seeded])


def under_a_gain(task: TaskRecords, seeded: int, generator: np.random.Generator) -> bool:
    audit, best = task.default[np.isfinite(task.default[:, AUDIT]), AUDIT], task.reference[np.isfinite(task.reference[:, AUDIT]), AUDIT]
    base, mine = generator.permutation(audit)[:2], generator.permutation(best)[:3]
    return better(task, mine[0], base[0], [base, mine[:2], (mine[0], mine[2])][: 1 + seeded])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=400, help="a task")
    args = parser.parse_args()
    tasks = load().values()
    print('| seeds | "better" where nothing differs | "better" for the best recipe |\n|---|---|---|')
    for seeded in (1, 2):
        generator = np.random.default_rng(0)
        null, gain = (
            np.mean([one(task, seeded, generator) for task in tasks for _ in range(args.races)]) for one in (under_the_null, under_a_gain)
        )
        print(f"| two of the baseline and of {('one finalist', 'two finalists')[seeded - 1]} | {null:.1%} | {gain:.1%} |")


if __name__ == "__main__":
    main()
