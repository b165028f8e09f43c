"""Races with nothing to find: all candidates are the baseline's own recipe under other seeds. How often is one called better?

Each race draws its seeds from those recorded of a task: the baseline, its second seed, five candidates. It goes as plan 3.5 goes, and the
verdict is the product's own arithmetic on what was recorded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from records import AUDIT, VALID, TaskRecords

from fallline import _statistics as statistics
from fallline._verdict import CONFIDENCE, SeedNoise, assumed_noise

CANDIDATES = 5


def noise_of(task: TaskRecords, first: int, second: int, rung: float) -> SeedNoise | None:
    """The seed noise that a race assumes: from two seeds of the baseline, read at every look up to rung one."""
    looks = [k for k, share in enumerate(task.looks) if 0.05 - 1e-9 <= share <= rung + 1e-9]
    pairs = [(float(task.base[first, k, VALID, 0]), float(task.base[second, k, VALID, 0])) for k in looks]
    level = float(task.base[first, -1, VALID, 0])
    return assumed_noise(pairs, str(task.facts["direction"]), level)


def said(task: TaskRecords, seeds: Sequence[int], rung: float = 0.1, finish: int = 2) -> str:
    """The verdict of one race among seeds: the first is the baseline, the second its twin, the others are candidates."""
    base, twin, *field = seeds
    field = sorted(field, key=lambda seed: task.base_at(seed, rung))[:finish]
    winner = min([base, *field], key=lambda seed: float(task.default[seed, VALID]))
    if winner == base:
        return "no difference shown"
    difference = float(task.default[winner, AUDIT] - task.default[base, AUDIT])
    variances = task.base_variance[np.isfinite(task.base_variance)]
    variance, df = float(np.median(variances)), float(task.facts["audit_rows"]) - 1
    noise = noise_of(task, base, twin, rung)
    if noise is not None:
        variance, df = statistics.combine(variance, df, 2 * noise.variance, noise.df)
    low, high = statistics.two_sided(difference, variance, df, CONFIDENCE)
    return "better" if high < 0 else "worse" if low > 0 else "no difference shown"


def rate(tasks: Sequence[TaskRecords], races: int, seed: int = 0) -> dict[str, float]:
    """Shares of verdicts over so many races, drawn evenly from the tasks."""
    generator = np.random.default_rng(seed)
    counts: dict[str, int] = {}
    for number in range(races):
        task = tasks[number % len(tasks)]
        there = [k for k in range(len(task.base)) if math.isfinite(task.default[k, VALID])]
        drawn = [int(k) for k in generator.choice(there, CANDIDATES + 2, replace=False)]
        status = said(task, drawn)
        counts[status] = counts.get(status, 0) + 1
    return {status: count / races for status, count in counts.items()}
