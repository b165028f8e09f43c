from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from fallline import _statistics as stats

SIMULATIONS = 2000  # at a true coverage of 95 % the share covered lies within 94 and 96 % in 19 of 20 runs
COVERED = (0.92, 0.98)

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40).map(np.array)


def covered(intervals: list[tuple[float, float]], truth: float = 0.0) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.5, 1e6))
def test_t_quantiles_are_those_of_scipy(probability: float, df: float) -> None:
    assert stats.t_quantile(probability, df) == pytest.approx(scipy.stats.t.ppf(probability, df), rel=1e-6, abs=1e-9)


def test_infinite_degrees_of_freedom_are_the_normal_distribution() -> None:
    assert stats.t_quantile(0.975, math.inf) == pytest.approx(scipy.stats.norm.ppf(0.975))


@pytest.mark.parametrize(("probability", "df"), [(0.0, 5), (1.0, 5), (math.nan, 5), (0.5, 0), (0.5, math.nan)])
def test_an_impossible_quantile_is_refused(probability: float, df: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        stats.t_quantile(probability, df)


@given(values)
def test_the_paired_mean_without_units_is_the_paired_t_test(differences: np.ndarray) -> None:
    mean, variance, df = stats.paired_mean(differences)
    assert mean == pytest.approx(differences.mean())
    assert variance == pytest.approx(differences.var(ddof=1) / len(differences), rel=1e-9, abs=1e-12)
    assert df == pytest.approx(len(differences) - 1)


def test_the_interval_is_that_of_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.3, 1.0, size=50)
    expected = scipy.stats.ttest_1samp(differences, 0.0).confidence_interval(0.95)
    assert stats.two_sided(*stats.paired_mean(differences)) == pytest.approx((expected.low, expected.high))


@given(values)
def test_units_of_one_example_change_nothing(differences: np.ndarray) -> None:
    alone = np.arange(len(differences))[::-1] * 7
    assert stats.paired_mean(differences, alone) == pytest.approx(stats.paired_mean(differences), rel=1e-9, abs=1e-12)


@given(values, st.integers(2, 5))
def test_repeating_every_example_inside_its_unit_adds_no_information(differences: np.ndarray, times: int) -> None:
    repeated = stats.paired_mean(np.repeat(differences, times), np.repeat(np.arange(len(differences)), times))
    assert repeated == pytest.approx(stats.paired_mean(differences), rel=1e-6, abs=1e-9)


@given(values, st.randoms(use_true_random=False))
def test_order_and_names_of_units_do_not_matter(differences: np.ndarray, random) -> None:
    units = np.array([random.randrange(4) for _ in differences])
    order = np.array(random.sample(range(len(differences)), len(differences)))
    renamed = np.array([40, -3, 17, 5])[units]
    assert stats.paired_mean(differences[order], renamed[order]) == pytest.approx(stats.paired_mean(differences, units), rel=1e-6, abs=1e-9)


def test_a_unit_that_outweighs_the_rest_counts_as_one_observation() -> None:
    generator = np.random.default_rng(0)
    units = np.concatenate([np.zeros(1000, dtype=np.int64), np.arange(1, 101)])
    differences = generator.normal(size=101)[units]  # a thousand copies of one row, and a hundred rows
    assert stats.paired_mean(differences, units).df < 1
    independent = generator.normal(size=1100)  # the same units, but nothing in common inside
    assert stats.paired_mean(independent, units).df > stats.paired_mean(differences, units).df


@pytest.mark.parametrize("differences", [np.array([]), np.array([1.0]), np.ones(5)])
def test_fewer_than_two_units_decide_nothing(differences: np.ndarray) -> None:
    estimate = stats.paired_mean(differences, np.zeros(len(differences), dtype=np.int64))
    assert stats.two_sided(*estimate) == (-math.inf, math.inf)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_paired_interval_covers(seed: int) -> None:
    generator = np.random.default_rng(seed)
    draws = generator.standard_t(5, size=(SIMULATIONS, 40))  # tails heavier than normal, as differences of losses have
    assert COVERED[0] <= covered([stats.two_sided(*stats.paired_mean(draw)) for draw in draws]) <= COVERED[1]


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_the_interval_over_unequal_units_covers(shared: float) -> None:
    generator = np.random.default_rng(2)
    sizes = np.array([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 8, 8, 10, 10, 12, 12, 15, 15])
    units = np.repeat(np.arange(len(sizes)), sizes)
    intervals, naive = [], []
    for _ in range(SIMULATIONS):
        own = generator.normal(size=len(units))
        draw = math.sqrt(shared) * generator.normal(size=len(sizes))[units] + math.sqrt(1 - shared) * own
        intervals.append(stats.two_sided(*stats.paired_mean(draw, units)))
        naive.append(stats.two_sided(*stats.paired_mean(draw)))
    assert COVERED[0] <= covered(intervals) <= COVERED[1]
    assert shared == 0 or covered(naive) < 0.8  # what ignoring the units would claim


def test_the_interval_with_seeds_covers_a_difference_between_recipes() -> None:
    generator = np.random.default_rng(3)
    examples, seeds, spread = 60, 3, 0.2
    with_seeds, without = [], []
    for _ in range(SIMULATIONS):
        a, b = spread * generator.normal(size=(2, seeds))
        draw = generator.normal(size=examples) + a.mean() - b.mean()
        mean, variance, df = stats.paired_mean(draw)
        seed_variance = (a.var(ddof=1) + b.var(ddof=1)) / seeds
        with_seeds.append(stats.two_sided(mean, *stats.combine(variance, df, seed_variance, 2 * (seeds - 1))))
        without.append(stats.two_sided(mean, variance, df))
    assert COVERED[0] <= covered(with_seeds) <= COVERED[1]
    assert covered(without) < 0.9


def test_the_bootstrap_of_a_ranking_metric_covers() -> None:
    from fallline.metrics._ranks import area_under_roc

    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(4)
    intervals = []
    for seed in range(200):  # two hundred, not two thousand: 60 recomputations each
        positive = torch.from_numpy(generator.random(120) < 0.5)
        first, second = torch.from_numpy(generator.normal(size=(2, 120))) + positive  # equally good on average: no difference

        def difference(rows: np.ndarray, first=first, second=second, positive=positive) -> float:
            return area_under_roc(first[rows], positive[rows]) - area_under_roc(second[rows], positive[rows])

        everything = difference(np.arange(120))
        intervals.append(stats.two_sided(everything, *stats.resampled_variance(stats.resampled(difference, np.arange(120), 60, seed), 120)))
    assert 0.90 <= covered(intervals) <= 0.99  # five standard errors of 200 runs around 95 %


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_a_resample_holds_as_many_units_as_the_set_and_every_unit_whole(rows: int, seed: int) -> None:
    units = np.random.default_rng(seed).integers(0, 5, size=rows)
    sizes = {unit: int((units == unit).sum()) for unit in units}
    drawn: list[np.ndarray] = []
    stats.resampled(lambda rows: drawn.append(rows) or 0.0, units, 3, seed)
    for resample in drawn:
        times = [np.bincount(resample, minlength=rows)[units == unit] for unit in sizes]
        assert all(len(set(time)) == 1 for time in times)
        assert sum(int(time[0]) for time in times) == len(sizes)


@given(values, st.integers(0, 2**32), st.booleans())
def test_the_fast_resampling_of_means_equals_the_plain_one(first: np.ndarray, seed: int, grouped: bool) -> None:
    second = first[::-1] ** 2
    first = first**2
    units = np.arange(len(first)) // 3 if grouped else np.arange(len(first))

    def difference(rows: np.ndarray) -> float:
        return math.sqrt(first[rows].mean()) - math.sqrt(second[rows].mean())

    fast = stats.resampled_means(first, second, math.sqrt, units, 7, seed)
    assert fast == pytest.approx(stats.resampled(difference, units, 7, seed), rel=1e-6, abs=1e-6)


def test_the_fast_resampling_does_not_depend_on_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    whole = stats.resampled_means(first, second, None, None, 20, seed=1)
    monkeypatch.setattr(stats, "CHUNK", 150)
    assert np.array_equal(stats.resampled_means(first, second, None, None, 20, seed=1), whole)


def test_more_resamples_begin_with_the_same_ones() -> None:
    sample = np.random.default_rng(0).normal(size=30)
    few, many = (stats.resampled(lambda rows: float(sample[rows].mean()), np.arange(30), count, 5) for count in (10, 25))
    assert np.array_equal(few, many[:10])
    other = stats.resampled(lambda rows: float(sample[rows].mean()), np.arange(30), 10, 6)
    assert not np.array_equal(few, other)


def test_undefined_resamples_are_drawn_again_and_given_up_at_last() -> None:
    rare = np.arange(8)
    some = stats.resampled(lambda rows: 1.0 if 0 in rows else math.nan, rare, 40, 0)
    assert len(some) == 40
    assert len(stats.resampled(lambda rows: math.nan, rare, 40, 0)) == 0


def test_the_variance_of_resampled_means_is_that_of_the_mean() -> None:
    sample = np.random.default_rng(0).normal(size=25)
    replicates = stats.resampled_means(sample, np.zeros(25), None, None, 20_000, seed=0)
    variance, df = stats.resampled_variance(replicates, 25)
    assert variance == pytest.approx(stats.paired_mean(sample).variance, rel=0.05)  # five standard errors of 20,000 resamples
    assert df == 24
    assert stats.resampled_variance(replicates, 1) == (math.inf, 0.0)


positive = st.floats(1e-9, 1e9)


@given(positive, st.floats(1, 1e4), positive, st.floats(1, 1e4))
def test_combined_degrees_of_freedom_lie_between_the_smaller_and_the_sum(v_e: float, df_e: float, v_s: float, df_s: float) -> None:
    variance, df = stats.combine(v_e, df_e, v_s, df_s)
    assert variance == v_e + v_s
    assert min(df_e, df_s) * (1 - 1e-9) <= df <= (df_e + df_s) * (1 + 1e-9)
    assumed = stats.combine(v_e, df_e, v_s, None)
    assert assumed[0] == variance
    assert assumed[1] >= df


def test_combining_is_welch() -> None:
    first, second = np.random.default_rng(0).normal(size=12), np.random.default_rng(1).normal(0, 3, size=5)
    expected = scipy.stats.ttest_ind(first, second, equal_var=False)
    assert stats.combine(first.var(ddof=1) / 12, 11, second.var(ddof=1) / 5, 4)[1] == pytest.approx(expected.df)


@pytest.mark.parametrize(
    ("example", "df", "seed", "seed_df", "expected"),
    [
        (0.5, 9.0, 0.0, None, (0.5, 9.0)),
        (0.0, 9.0, 0.0, 1.0, (0.0, 9.0)),
        (0.0, 9.0, 0.5, None, (0.5, math.inf)),
        (0.0, 9.0, 0.5, 1.0, (0.5, 1.0)),
        (math.inf, 0.0, 0.5, 1.0, (math.inf, 0.0)),
        (0.5, 9.0, 0.5, 0.0, (math.inf, 0.0)),
    ],
)
def test_combining_at_the_edges(example: float, df: float, seed: float, seed_df: float | None, expected: tuple[float, float]) -> None:
    assert stats.combine(example, df, seed, seed_df) == expected


def test_an_interval_without_variance_is_a_point() -> None:
    assert stats.two_sided(0.25, 0.0, 10) == (0.25, 0.25)


def test_a_higher_confidence_gives_a_wider_interval() -> None:
    narrow, wide = stats.two_sided(0.0, 1.0, 5, confidence=0.5), stats.two_sided(0.0, 1.0, 5, confidence=0.99)
    assert wide[0] < narrow[0] < 0 < narrow[1] < wide[1]


def test_statistics_need_neither_torch_nor_scipy_stats() -> None:
    code = "import sys, fallline._statistics as s; s.t_quantile(.9, 3); print(sorted({'torch', 'scipy.stats'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
