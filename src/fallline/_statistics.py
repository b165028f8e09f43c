"""The statistics behind a verdict, as small pure functions on numpy arrays: intervals for a difference between two recipes.

Every difference is *paired*: both models predict the same examples. Examples that belong together (rows of one person, frames of one
film) form a unit; units are independent, examples inside one are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

CHUNK = 4_000_000  # drawn units held at once: 32 MB


class Estimate(NamedTuple):
    """A value, the variance of that value (not of one example), and the degrees of freedom behind the variance."""

    value: float
    variance: float
    df: float


def t_quantile(probability: float, df: float) -> float:
    """The value below which Student's t with `df` degrees of freedom lies with this probability; normal when df is infinite.

    Source: Student (1908), Biometrika 6; computed by scipy.special.stdtrit.
    """
    if not 0 < probability < 1:
        raise ValueError(f"probability must be between 0 and 1, got {probability}")
    if not df > 0:
        raise ValueError(f"df must be positive, got {df}")
    from scipy.special import ndtri, stdtrit  # not scipy.stats, which takes a second to import

    return float(ndtri(probability) if math.isinf(df) else stdtrit(df, probability))


def paired_mean(differences: Floats, units: Integers | None = None) -> Estimate:
    """The mean of per-example differences d, with a variance that holds when examples of one unit are alike.

    Without units: s^2 / n on n - 1 degrees of freedom, the paired t. With units g of n_g examples, G of them:

        variance = G / (G - 1) * sum_g (sum_{i in g} (d_i - mean))^2 / n^2         (Liang and Zeger 1986, CR1)
        df       = (sum_g w_g)^2 / sum_g w_g^2 - 1,   w_g = n_g (1 + (n_g - 1) rho)   (Satterthwaite; Imbens and Kolesar 2016)

    w_g is what unit g adds to the variance when rho is the correlation inside a unit (analysis of variance estimate, Fisher 1925). With
    equal units df is G - 1; one unit that outweighs the rest brings it near zero, as it should: that is one observation. Fewer
    than two units: infinite variance on no degrees of freedom.
    """
    values = np.asarray(differences, dtype=np.float64)
    if not len(values):
        return Estimate(math.nan, math.inf, 0.0)
    mean = float(values.mean())
    of_row, sizes = _units(len(values), units)
    count = len(sizes)
    if count < 2:
        return Estimate(mean, math.inf, 0.0)
    centred = values - mean
    sums = _sums(centred, of_row, count)
    variance = count / (count - 1) * float(sums @ sums) / len(values) ** 2
    weights = sizes * (1 + (sizes - 1) * _correlation_inside(centred, sums, sizes))
    return Estimate(mean, variance, float(weights.sum() ** 2 / (weights @ weights)) - 1)


def _units(rows: int, units: Integers | None) -> tuple[Integers, Floats]:
    """Each row's unit as 0 .. G - 1, and the size of every unit."""
    if units is None:
        return np.arange(rows), np.ones(rows)
    if len(units) != rows:
        raise ValueError(f"units must name one unit for each of {rows} examples, got {len(units)}")
    _, of_row, sizes = np.unique(units, return_inverse=True, return_counts=True)
    return of_row.astype(np.int64), sizes.astype(np.float64)


def _sums(values: Floats, of_row: Integers, count: int) -> Floats:
    """The sum of values over every unit."""
    return np.asarray(np.bincount(of_row, weights=np.asarray(values, dtype=np.float64), minlength=count), dtype=np.float64)


def _correlation_inside(centred: Floats, sums: Floats, sizes: Floats) -> float:
    """Intraclass correlation (between - within) / (between + (n0 - 1) within) of mean squares, kept within 0 and 1."""
    rows, count = len(centred), len(sizes)
    if rows == count:
        return 0.0  # every unit is one example, and rho multiplies nothing
    explained = float((sums**2 / sizes).sum())
    between = explained / (count - 1)
    within = max(float(centred @ centred) - explained, 0.0) / (rows - count)
    typical = (rows - float(sizes @ sizes) / rows) / (count - 1)  # n0: the size of a unit, corrected for unequal ones
    total = between + (typical - 1) * within
    return min(max((between - within) / total, 0.0), 1.0) if total > 0 else 0.0


def resampled(metric_of_indices: Callable[[Integers], float], units: Integers, count: int, seed: int) -> Floats:
    """Bootstrap replicates of a paired difference: units drawn with replacement, whole, and the metric recomputed on their rows.

    `metric_of_indices(rows)` gives the difference between both models' metrics on these rows (rows repeat). `units` names each row's unit;
    `np.arange(n)` where every row stands alone. A resample on which the metric is NaN (AUROC of one class) is drawn again, at
    most `count` times over all; what stays undefined is left out, so the result can be shorter than `count`. The first k replicates
    do not depend on `count`. Source: Efron (1979); units as a whole: Davison and Hinkley (1997), section 3.8.
    """
    generator = np.random.default_rng(seed)
    of_row, sizes = _units(len(units), units)
    by_unit = np.argsort(of_row, kind="stable")
    length = sizes.astype(np.int64)
    first = np.cumsum(length) - length
    alone = len(length) == len(by_unit)
    found: list[float] = []
    for _ in range(2 * count):
        drawn = generator.integers(len(length), size=len(length))
        if alone:
            rows = by_unit[drawn]
        else:
            # the rows of unit u are by_unit[first[u] : first[u] + length[u]]: count up from 0 inside each drawn unit
            taken = length[drawn]
            inside = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
            rows = by_unit[np.repeat(first[drawn], taken) + inside]
        value = metric_of_indices(rows)
        if not math.isnan(value):
            found.append(value)
        if len(found) == count:
            break
    return np.array(found, dtype=np.float64)


def resampled_means(
    values_a: Floats, values_b: Floats, of_mean: Callable[[float], float] | None, units: Integers | None, count: int, seed: int
) -> Floats:
    """`resampled` for of_mean(mean of a) - of_mean(mean of b), from sums over units: the same draws, without touching rows again."""
    generator = np.random.default_rng(seed)
    of_row, sizes = _units(len(values_a), units)
    number = len(sizes)
    sums = [_sums(values, of_row, number) for values in (values_a, values_b)]
    found: list[Floats] = []
    most = max(CHUNK // number, 1)
    for start in range(0, count, most):
        drawn = generator.integers(number, size=(min(most, count - start), number))
        rows = sizes[drawn].sum(1)
        means = [total[drawn].sum(1) / rows for total in sums]
        if of_mean is not None:
            means = [np.array([of_mean(float(mean)) for mean in one]) for one in means]
        found.append(means[0] - means[1])
    return np.concatenate(found) if found else np.empty(0)


def resampled_variance(replicates: Floats, units: int) -> tuple[float, float]:
    """(variance, df) of a difference from its bootstrap replicates over `units` independent units.

    variance = G / (G - 1) * sample variance of the replicates: drawing G units from G spreads too little by (G - 1) / G
    (Davison and Hinkley 1997, section 2.3); df = G - 1. Fewer than two units or replicates: infinite, on no degrees of freedom.
    """
    if units < 2 or len(replicates) < 2:
        return math.inf, 0.0
    return float(np.var(replicates, ddof=1)) * units / (units - 1), units - 1.0


def combine(example_variance: float, example_df: float, seed_variance: float, seed_df: float | None) -> tuple[float, float]:
    """(variance, df) of a difference that varies by examples and, independently, by seeds.

    The variances add; df = (v_e + v_s)^2 / (v_e^2 / df_e + v_s^2 / df_s) (Welch 1947; Satterthwaite 1946). `seed_variance` is the variance
    that seeds give the *difference* as it was measured: for one seed a side twice that of one recipe, for k seeds a side 2/k of
    it. `seed_df=None` says that it was assumed from records, and treats it as known: its df is infinite.
    """
    variance = example_variance + seed_variance
    if example_df <= 0 or not math.isfinite(variance):
        return variance, example_df
    share = example_variance / variance if variance > 0 else 1.0  # shares, because squares of small variances underflow
    uncertainty = share**2 / example_df
    if seed_df is not None and share < 1:
        if seed_df <= 0:
            return math.inf, 0.0
        uncertainty += (1 - share) ** 2 / seed_df
    return variance, 1 / uncertainty if uncertainty > 0 else math.inf


def two_sided(difference: float, variance: float, df: float, confidence: float = 0.95) -> tuple[float, float]:
    """The interval difference -+ t((1 + confidence) / 2, df) * sqrt(variance); everything when nothing is known of the variance.

    The default of 0.95 is the field's convention and the verdict's.
    """
    if not df > 0 or not math.isfinite(variance):
        return -math.inf, math.inf
    if not variance:
        return difference, difference  # and not infinity times zero, where df is near zero too
    half = t_quantile((1 + confidence) / 2, df) * math.sqrt(variance)
    return difference - half, difference + half
