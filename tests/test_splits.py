from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallline import _splits as splits
from fallline._errors import RefusedError

seeds = st.integers(0, 2**32)
shares = st.sampled_from([0.1, 0.15, 0.2, 0.5])


def drawn(seed: int, n: int, kinds: int, *, skew: float = 1.0) -> np.ndarray:
    """`n` ids below `kinds`, the higher the rarer."""
    return (np.random.default_rng(seed).random(n) ** skew * kinds).astype(np.int64)


def same(first: splits.Split, second: splits.Split) -> bool:
    return all(np.array_equal(getattr(first, part), getattr(second, part)) for part in ("train", "valid", "audit"))


# carve ------------------------------------------------------------------------------------------------------------------------------


@given(st.integers(20, 500), shares, seeds, st.integers(1, 8))
def test_classes_keep_their_share_within_one_row(n: int, share: float, seed: int, kinds: int) -> None:
    labels = drawn(seed, n, kinds, skew=3)
    part = splits.carve(splits.Rows(count=n, labels=labels), share, seed=seed)
    assert np.array_equal(np.sort(np.concatenate([part.rest, part.taken])), np.arange(n))
    rows, taken = np.bincount(labels, minlength=kinds), np.bincount(labels[part.taken], minlength=kinds)
    assert (np.abs(taken - share * rows) < 1 + 1e-9).all()
    assert (taken[rows > 1] < rows[rows > 1]).all()  # every class trains
    if (rows != 1).all():
        assert abs(len(part.taken) - share * n) <= 0.5


def test_a_rare_class_is_not_forgotten_in_the_smaller_part() -> None:
    labels = np.array([0] * 97 + [1] * 3)
    part = splits.carve(splits.Rows(count=100, labels=labels), 0.15, seed=0)
    assert len(part.taken) == 15
    assert (labels[part.taken] == 1).sum() == 1


def test_a_class_of_one_row_trains_and_is_told() -> None:
    labels = np.array([0] * 50 + [1] * 49 + [2])
    part = splits.carve(splits.Rows(count=100, labels=labels), 0.2, seed=0)
    assert 99 in part.rest
    assert part.notes == ("one class has one row only, which is not in this part",)
    many = splits.carve(splits.Rows(count=100, labels=np.arange(100) % 99), 0.2, seed=0)
    assert many.notes == ("98 classes have one row only, none of which is in this part",)
    assert len(many.rest) + len(many.taken) == 100


def test_labels_that_never_repeat_are_no_classes() -> None:
    part = splits.carve(splits.Rows(count=100, labels=np.arange(100)), 0.2, seed=0)
    assert (len(part.taken), part.notes) == (20, ("no class has enough rows for two parts, so classes are not looked at",))


@given(st.integers(20, 300), shares, seeds, st.integers(2, 60), st.booleans())
def test_no_group_crosses(n: int, share: float, seed: int, kinds: int, labelled: bool) -> None:
    groups = drawn(seed, n, kinds, skew=2)
    groups[:2] = 0, 1
    labels = drawn(seed + 1, n, 3) if labelled else None
    part = splits.carve(splits.Rows(count=n, groups=groups, labels=labels), share, seed=seed)
    assert not set(groups[part.rest]) & set(groups[part.taken])
    assert len(part.rest)
    assert len(part.taken)
    assert np.array_equal(np.sort(np.concatenate([part.rest, part.taken])), np.arange(n))


@given(shares, seeds)
def test_small_groups_come_near_the_share(share: float, seed: int) -> None:
    groups, labels = np.arange(900) // 3, np.arange(900) // 3 % 2
    part = splits.carve(splits.Rows(count=900, groups=groups, labels=labels), share, seed=seed)
    assert all(abs((labels[part.taken] == kind).sum() - 450 * share) <= 1.5 for kind in (0, 1))


def test_a_group_that_exceeds_the_share_trains() -> None:
    groups = np.concatenate([np.zeros(600, dtype=np.int64), np.arange(1, 401)])
    for seed in range(20):
        assert len(splits.carve(splits.Rows(count=1000, groups=groups), 0.2, seed=seed).taken) == 200


def test_few_large_groups_still_make_two_parts() -> None:
    part = splits.carve(splits.Rows(count=100, groups=np.arange(100) // 60), 0.15, seed=0)
    assert len(part.taken) == 40  # the smaller of the two


def test_rows_of_one_group_cannot_be_split() -> None:
    with pytest.raises(RefusedError, match="all 50 rows are one"):
        splits.carve(splits.Rows(count=50, groups=np.zeros(50)), 0.2, seed=0)


@given(st.integers(20, 300), shares, seeds, st.integers(2, 400), st.integers(0, 5))
def test_time_order_is_respected(n: int, share: float, seed: int, kinds: int, gap: int) -> None:
    order = drawn(seed, n, kinds)
    order[:3] = 0, 1, kinds
    rows = splits.Rows(count=n, order=order)
    try:
        part = splits.carve(rows, share, seed=seed, gap=gap)
    except RefusedError:
        assert (order == order.min()).sum() <= gap  # few rows before the only cut, all in the gap
        return
    assert order[part.rest].max() < order[part.taken].min()
    assert (np.diff(order[part.taken]) >= 0).all()
    assert n - len(part.rest) - len(part.taken) == gap


def test_different_times_give_the_exact_share_and_any_kind_of_time_does() -> None:
    days = np.datetime64("2024-01-01") + np.random.default_rng(0).permutation(100)
    part = splits.carve(splits.Rows(count=100, order=days), 0.2, seed=0, gap=3)
    assert (len(part.rest), len(part.taken)) == (77, 20)
    assert days[part.taken].min() - days[part.rest].max() == np.timedelta64(4, "D")


def test_groups_that_reach_across_time_leave_the_earlier_part() -> None:
    order, groups = np.arange(100), np.arange(100)
    groups[[5, 7]] = 95
    part = splits.carve(splits.Rows(count=100, order=order, groups=groups), 0.2, seed=0)
    assert not {5, 7} & set(part.rest)
    assert part.notes == ("2 earlier rows left out because rows of their group come later",)
    with pytest.raises(RefusedError, match="groups that reach across"):
        splits.carve(splits.Rows(count=100, order=order, groups=order % 5), 0.2, seed=0)


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (np.zeros(30), "same"),
        (np.array([np.nan, *range(29)]), "1 of 30 have none"),
        (np.array(["NaT"] * 2 + ["2024-01-01"] * 28, dtype="datetime64[D]"), "2 of 30 have none"),
    ],
)
def test_times_that_give_no_order_are_refused(order: np.ndarray, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        splits.carve(splits.Rows(count=30, order=order), 0.2, seed=0)


def test_impossible_calls_are_our_own_mistakes() -> None:
    with pytest.raises(ValueError, match="labels must have one value for each of 5 rows, got 4"):
        splits.Rows(count=5, labels=np.zeros(4))
    with pytest.raises(ValueError, match="share must be"):
        splits.carve(splits.Rows(count=50), 1.0, seed=0)


# split_rows -------------------------------------------------------------------------------------------------------------------------


@given(st.integers(20, 400), seeds, st.booleans(), st.booleans(), st.booleans())
def test_parts_never_share_a_row_or_a_group(n: int, seed: int, labelled: bool, grouped: bool, timed: bool) -> None:
    labels = drawn(seed, n, 3) if labelled else None
    groups = np.concatenate([np.arange(n - n // 4), np.arange(n // 4)]) if grouped else None  # a quarter are duplicates
    order = drawn(seed, n, 10 * n) if timed else None
    try:
        split = splits.split_rows(n, seed=seed, labels=labels, groups=groups, order=order)
    except RefusedError:
        assert timed  # few times, or groups that reach across them
        return
    parts = [split.train, split.valid, split.audit]
    assert all(len(part) and part.dtype == np.int64 for part in parts)
    every = np.concatenate(parts)
    assert len(set(every)) == len(every)
    assert set(every) <= set(range(n))
    assert timed or len(every) == n
    for i, part in enumerate(parts):
        for other in parts[i + 1 :]:
            assert groups is None or not set(groups[part]) & set(groups[other])
            assert order is None or order[part].max() < order[other].min()


@given(st.integers(20, 400), seeds)
def test_the_same_seed_gives_the_same_split(n: int, seed: int) -> None:
    labels = drawn(seed, n, 3)
    assert same(splits.split_rows(n, seed=seed, labels=labels), splits.split_rows(n, seed=seed, labels=labels))


def test_another_seed_gives_another_split() -> None:
    assert not same(splits.split_rows(200, seed=0), splits.split_rows(200, seed=1))


@pytest.mark.parametrize(
    ("call", "lengths", "audit_from_valid"),
    [
        ({"n": 1000}, (650, 200, 150), False),
        ({"n": 20}, (13, 4, 3), False),
        ({"n": 9_990}, (6_494, 1_998, 1_498), False),  # half of valid would be 999
        ({"n": 10_000}, (8_000, 1_000, 1_000), False),
        ({"n": 1000, "n_valid": 1_999}, (850, 1_999, 150), False),
        ({"n": 1000, "n_valid": 2_000}, (1_000, 1_000, 1_000), True),
        ({"n": 10, "n_valid": 2_000}, (10, 1_000, 1_000), True),  # nothing is carved off train
        ({"n": 1000, "n_audit": 50}, (800, 200, 50), False),
        ({"n": 50_000, "n_audit": 50}, (40_000, 10_000, 50), False),
        ({"n": 10, "n_valid": 5, "n_audit": 5}, (10, 5, 5), False),
    ],
)
def test_the_written_rule(call: dict[str, int], lengths: tuple[int, int, int], audit_from_valid: bool) -> None:
    split = splits.split_rows(**call, seed=0)
    assert (len(split.train), len(split.valid), len(split.audit)) == lengths
    assert split.audit_from_valid == audit_from_valid


@given(seeds)
def test_all_three_parts_keep_the_classes(seed: int) -> None:
    labels = np.array([0] * 700 + [1] * 280 + [2] * 20)
    split = splits.split_rows(1000, seed=seed, labels=labels)
    for part, share in ((split.train, 0.65), (split.valid, 0.2), (split.audit, 0.15)):
        assert (np.abs(np.bincount(labels[part]) - share * np.array([700, 280, 20])) < 2).all()


def test_a_given_valid_set_is_halved_by_its_own_classes_and_groups() -> None:
    labels, groups = np.arange(4000) // 4 % 2, np.arange(4000) // 4
    split = splits.split_rows(100, seed=0, valid=splits.Rows(count=4000, labels=labels, groups=groups))
    assert not set(groups[split.valid]) & set(groups[split.audit])
    assert abs(labels[split.audit].sum() - 1000) <= 2
    assert np.array_equal(split.train, np.arange(100))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"n": 19}, "splitting valid and audit off train needs 20 rows or more, got 19"),
        ({"n": 0, "n_valid": 100}, "splitting audit off train needs 20 rows or more, got 0; give more rows or your own audit"),
        ({"n": 19, "n_audit": 5}, "splitting valid off train"),
    ],
)
def test_too_few_rows_are_refused(call: dict[str, int], message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        splits.split_rows(**call, seed=0)


def test_notes_say_in_plain_words_what_was_done() -> None:
    labels = np.array([0] * 500 + [1] * 499 + [2])
    groups = np.concatenate([np.arange(990), np.arange(10)])
    assert splits.split_rows(1000, seed=7, labels=labels, groups=groups).notes == (
        "rows: 650 train, 200 valid, 150 audit",
        "audit: 15 % of train, 150 rows, drawn with seed 7, classes in proportion, 10 groups of rows kept whole",
        "audit: one class has one group only, which is not in this part",
        "valid: 20 % of train, 200 rows, drawn with seed 7, classes in proportion, 8 groups of rows kept whole",
        "valid: one class has one group only, which is not in this part",
    )
    assert splits.split_rows(1000, seed=7, order=np.arange(1000), gap=5).notes == (
        "rows: 640 train, 200 valid, 150 audit",
        "audit: 15 % of train, 150 rows, the latest in time, 5 rows before them left out",
        "valid: 20 % of train, 200 rows, the latest in time, 5 rows before them left out",
    )
    assert splits.split_rows(10, n_valid=5, n_audit=5, seed=0).notes == ()


# duplicate_groups -------------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 5), seeds, st.sampled_from([np.float32, np.float64, np.int8, np.bool_]))
def test_equal_rows_and_only_they_share_an_id(n: int, columns: int, seed: int, kind: type) -> None:
    rows = drawn(seed, n * columns, 3).reshape(n, columns).astype(kind)
    ids = splits.duplicate_groups(rows)
    equal = (rows[:, None] == rows[None]).all(2)
    assert np.array_equal(ids[:, None] == ids[None], equal)
    texts = splits.duplicate_groups([row.tobytes() for row in rows])
    assert np.array_equal(texts[:, None] == texts[None], equal)


def test_missing_values_and_signed_zeros_are_equal() -> None:
    rows = np.array([[np.nan, 0.0], [-np.nan, -0.0], [np.nan, 1.0]])
    before = rows.copy()
    first, second, third = splits.duplicate_groups(rows)
    assert first == second != third
    assert np.signbit(rows[1, 1]) == np.signbit(before[1, 1])  # the rows themselves are left alone


def test_rows_without_columns_are_all_equal() -> None:
    assert set(splits.duplicate_groups(np.zeros((4, 0)))) == {0}
    assert len(splits.duplicate_groups(np.zeros((0, 3)))) == 0
    with pytest.raises(ValueError, match="2-D"):
        splits.duplicate_groups(np.zeros(3))


def test_columns_in_another_place_are_another_row() -> None:
    rows = np.random.default_rng(0).permutation(np.arange(12))[None].repeat(200, 0)
    rows = np.stack([np.random.default_rng(seed).permutation(row) for seed, row in enumerate(rows)])
    assert len(set(splits.duplicate_groups(rows))) == len({tuple(row) for row in rows})
