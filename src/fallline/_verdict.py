"""Verdict: the paired difference between winner and baseline on audit, an interval that covers seeds, and its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline import _statistics as statistics
from fallline._judge import Judge, Link
from fallline._portfolio import relative_noise

if TYPE_CHECKING:
    from torch import Tensor

BETTER, NO_DIFFERENCE, WORSE = "better", "no difference shown", "worse"
CONFIDENCE = 0.95  # the field's convention
BELIEVED = 4.0  # times the variance of records or last looks: seeds that part before they learn say little (docs/architecture.md)
RECORDS_WEIGH = 4.0  # degrees of freedom that the records stand for: tables differ in noise by a factor of ten, so not more


@dataclass(frozen=True)
class Outputs:
    """One model's outputs for a split, with the link that its loss declares."""

    outputs: Tensor
    link: Link | None


@dataclass(frozen=True)
class SeedNoise:
    """The variance that another seed gives the metric of one recipe, on `df` degrees of freedom; measured on so many seeds, or assumed."""

    variance: float
    df: float
    seeds: int = 1
    assumed: bool = False
    settled: float = 1.0  # of the variance, what is left to a recipe whose lr falls to its end, as records have it

    def of_difference(self, *, settles: bool) -> float:
        """The variance of a difference to the baseline, one seed a side, of a recipe whose lr falls to its end or does not."""
        return self.variance * (1 + (self.settled if settles else 1.0))


@dataclass(frozen=True)
class Comparison:
    """How much one recipe differs from another on one split, in the metric's own units and sign."""

    metric: str
    direction: str
    mine: float
    theirs: float
    difference: float
    interval: tuple[float, float]
    standard_error: float
    status: str
    covers: str

    @property
    def gain(self) -> float:
        """The difference, positive where the first recipe is better."""
        return -self.difference if self.direction == "min" else self.difference


def compare(
    judge: Judge,
    mine: Outputs,
    theirs: Outputs,
    targets: Tensor,
    *,
    units: Any,
    noise: SeedNoise | None,
    resamples: int,
    seed: int,
    settles: bool = False,
    values: tuple[float, float] | None = None,
) -> Comparison:
    """The paired comparison of two trained models on one split.

    Args:
        units: ids of what is independent (row group, image, document), one an example; None: every example.
        noise: seed variance of one recipe; None leaves the interval to examples alone, and `covers` says so.
        settles: the first recipe's lr falls to its end, which leaves it less seed variance.
        values: what is compared where it is not these outputs' own metric but a mean over seeds; `noise` is then that of a mean.
    """
    if values is None:
        values = judge.value(mine.outputs, targets, mine.link), judge.value(theirs.outputs, targets, theirs.link)
    value_mine, value_theirs = values
    difference = value_mine - value_theirs
    variance, df = example_variance(judge, mine, theirs, targets, units=units, resamples=resamples, seed=seed)
    covers = "examples"
    if noise is not None:
        # one seed a side is compared, or as many as the noise was divided by
        variance, df = statistics.combine(variance, df, noise.of_difference(settles=settles), noise.df)
        covers = "examples+assumed seeds" if noise.assumed else "examples+seeds"
    low, high = statistics.two_sided(difference, variance, df, CONFIDENCE)
    return Comparison(
        judge.metric.name, judge.metric.direction, value_mine, value_theirs, difference, (low, high),
        math.sqrt(variance) if math.isfinite(variance) else math.inf, status_of(judge, low, high), covers,
    )  # fmt: skip


def status_of(judge: Judge, low: float, high: float) -> str:
    """The name of an interval of (mine - theirs): it excludes zero on the good side, on the bad side, or not at all."""
    low, high = (low, high) if judge.sign > 0 else (-high, -low)
    return BETTER if high < 0 else WORSE if low > 0 else NO_DIFFERENCE


def example_variance(
    judge: Judge, mine: Outputs, theirs: Outputs, targets: Tensor, *, units: Any, resamples: int, seed: int
) -> tuple[float, float]:
    """(variance, df) of the difference as other examples would give it: paired t for means, else resamples of the independent unit."""
    ids = judge.units(targets, units)
    a, target = judge.reads(mine.outputs, targets, mine.link)
    b, _ = judge.reads(theirs.outputs, targets, theirs.link)
    metric = judge.metric
    if metric.each is not None:
        values_a, values_b = (np.asarray(metric.each(scores, target).double()) for scores in (a, b))
        if metric.of_mean is None:
            estimate = statistics.paired_mean(values_a - values_b, ids)
            return estimate.variance, estimate.df
        replicates = statistics.resampled_means(values_a, values_b, metric.of_mean, ids, resamples, seed)
    else:
        replicates = statistics.resampled(
            lambda rows: metric.value(a[rows], target[rows]) - metric.value(b[rows], target[rows]), ids, resamples, seed
        )
    return statistics.resampled_variance(replicates, len(np.unique(ids)))


def assumed_noise(
    pairs: list[tuple[float, float]], direction: str, level: float, usual: float, late: Sequence[float] = ()
) -> SeedNoise | None:
    """Assumed seed variance at `level`, from two seeds of one recipe read at several steps on the way there, and from records.

    Each reading (a - b)^2 / 2 is carried to the level (`noise_follows`), and their upper quartile is taken. One pair of seeds can agree
    by luck (its squared difference lies below a tenth of its mean one time in four), so the variance is not let fall below the moderated
    one, (d0 s0^2 + s^2) / (d0 + 1) on d0 + 1 degrees of freedom (Smyth 2004), with s0 from `usual`, the relative deviation on recorded
    tasks like this one. Nor is it let fall below the upper quartile of (a - b)^2 / 2 over neighbours in `late`, the last looks of that
    recipe: where it still moves from look to look, another seed is another look (benchmarks/price/null.py). A reading from before the
    recipe had come half the way to its level is believed up to BELIEVED times the larger of the two.
    """
    carry = noise_follows(direction, level)
    scale = relative_noise(direction, level)
    moves = float(np.quantile([(a - b) ** 2 / 2 for a, b in pairwise(late)] or [0.0], 0.75))
    most = BELIEVED * max((usual * scale) ** 2, moves) if usual and scale is not None else math.inf
    readings = [
        min((carry((a + b) / 2) * (a - b)) ** 2 / 2, most if hardly_begun(direction, (a + b) / 2, level) else math.inf)
        for a, b in pairs
        if math.isfinite(a) and math.isfinite(b)
    ]
    if not readings:
        return None
    read = float(np.quantile(readings, 0.75))
    floor = read if scale is None else (RECORDS_WEIGH * (usual * scale) ** 2 + read) / (RECORDS_WEIGH + 1)
    return SeedNoise(max(read, floor, moves), RECORDS_WEIGH + 1, assumed=True)


def hardly_begun(direction: str, value: float, level: float) -> bool:
    """Whether a metric stood so far from its later level that most was still to learn: under half of a share, over twice an error."""
    return value < level / 2 if direction == "max" else value > 2 * level > 0


def noise_follows(direction: str, level: float) -> Callable[[float], float]:
    """How a deviation over seeds changes with the metric, as a factor that carries it to `level`.

    The deviation of an error is in proportion to the error; that of a share such as accuracy goes with sqrt(p (1 - p)), as that of any
    proportion does. Both were measured (benchmarks/seed_noise.md). Elsewhere it is taken as it was read.
    """

    def factor(value: float) -> float:
        if direction == "min" and value > 0 and level > 0:
            return level / value
        if direction == "max" and 0 < value < 1 and 0 < level < 1:
            return math.sqrt(level * (1 - level) / (value * (1 - value)))
        return 1.0

    return factor


def measured_noise(groups: list[list[float]], seeds: int) -> SeedNoise | None:
    """Seed variance pooled over recipes of which several seeds ran to the end."""
    groups = [[value for value in group if math.isfinite(value)] for group in groups]
    df = sum(len(group) - 1 for group in groups if len(group) > 1)
    if not df:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in groups if len(group) > 1)
    return SeedNoise(squares / df, float(df), seeds)
