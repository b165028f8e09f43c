"""Splits: which rows train, which decide (valid) and which only report (audit), where the user gave fewer than three sets.

Missing audit: half of valid if each half keeps 1,000 examples, else 15 % of train. Missing valid: 20 % of train. Drawn by seed, with
classes in proportion and groups (duplicates, persons) never on both sides; or, with a time order, the latest rows, after a gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fallline._counted import counted
from fallline._errors import RefusedError

Index: TypeAlias = NDArray[np.int64]

VALID_SHARE = 0.20  # of train: decides between candidates, so it is the larger of the two
AUDIT_SHARE = 0.15  # of train: one comparison only, with the baseline
HALF_KEEPS = 1000  # examples: below that a halved valid decides too poorly to pay for an audit that costs train nothing
GAP_SHARE = 0.01  # of the rows: neighbours in time are alike, and a row beside the cut is half known
BLOCK = 2048  # rows hashed at once: an image's worth of columns still fits the cache
FEWEST_ROWS = 20  # 4 rows decide and 3 report: fewer would be no split but a lottery


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """A set of rows as splitting sees it; every array, where given, has one value a row."""

    count: int
    labels: NDArray[Any] | None = None  # classes, kept in proportion
    groups: NDArray[Any] | None = None  # rows of one group never lie on both sides
    order: NDArray[Any] | None = None  # time: the taken rows are the latest, and labels are not looked at

    def __post_init__(self) -> None:
        for name in ("labels", "groups", "order"):
            given = getattr(self, name)
            if given is not None and len(given) != self.count:
                raise ValueError(f"{name} must have one value for each of {self.count} rows, got {len(given)}")

    def at(self, index: Index) -> Rows:
        """These rows alone, in this order."""
        return Rows(
            count=len(index),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
            order=None if self.order is None else self.order[index],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Carved:
    """Rows divided in two: ascending indices, or in time order where there is one."""

    rest: Index
    taken: Index
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """Row indices of the three parts. What was carved off train indexes train, what was given indexes itself."""

    train: Index
    valid: Index
    audit: Index
    audit_from_valid: bool  # audit is half of the valid set that was given: both then index that set
    notes: tuple[str, ...]  # what was done, in plain words with counts; one a line


def split_rows(
    n: int,
    *,
    seed: int,
    labels: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
    order: NDArray[Any] | None = None,
    gap: int | None = None,
    n_valid: int | None = None,
    n_audit: int | None = None,
    valid: Rows | None = None,
) -> Split:
    """Divide `n` train rows (and a valid set that is large enough) so that train, valid and audit exist, by the rule above.

    `labels`, `groups` and `order` describe the train rows. `n_valid` and `n_audit` say that these sets were given; `valid`, in place of
    `n_valid`, describes the rows of valid too, for the case that it is halved. `gap` rows lie between parts in time (None: 1 % of train).
    Raises RefusedError where the rows cannot be divided.
    """
    train = Rows(count=n, labels=labels, groups=groups, order=order)
    if valid is None and n_valid is not None:
        valid = Rows(count=n_valid)
    apart = max(1, round(GAP_SHARE * n)) if gap is None else gap
    valid_rows = valid.count if valid is not None else round(VALID_SHARE * n)
    in_time = (train if valid is None else valid).order is not None
    halved = n_audit is None and (valid_rows - in_time * apart) // 2 >= HALF_KEEPS
    missing = [name for name, carved in (("valid", valid is None), ("audit", n_audit is None and not halved)) if carved]
    if missing and n < FEWEST_ROWS:
        wanted = " and ".join(missing)
        raise RefusedError(f"splitting {wanted} off train needs {FEWEST_ROWS} rows or more, got {n}; give more rows or your own {wanted}")

    notes: list[str] = []
    train_index = _all(n)
    valid_index = _all(valid.count if valid is not None else 0)
    audit_index = _all(n_audit or 0)
    # audit first: in time it is the latest part, and valid the latest of what is left
    if "audit" in missing:
        part = carve(train, AUDIT_SHARE, seed=3 * seed, gap=apart)  # three draws, of which no seed shares one with another
        notes += _told("audit", f"{AUDIT_SHARE * 100:.0f} % of train", train, part, seed)
        train_index, audit_index = part.rest, part.taken
    if "valid" in missing:
        left = train.at(train_index)
        share = min(VALID_SHARE * n / left.count, 0.5)  # of what audit left; whole groups may have left little, and train keeps half
        part = carve(left, share, seed=3 * seed + 1, gap=apart)
        notes += _told("valid", f"{VALID_SHARE * 100:.0f} % of train", left, part, seed)
        train_index, valid_index = train_index[part.rest], train_index[part.taken]
    if halved:
        whole = valid if valid is not None else train.at(valid_index)
        part = carve(whole, 0.5, seed=3 * seed + 2, gap=apart)
        notes += _told("audit", "half of valid", whole, part, seed)
        valid_index, audit_index = valid_index[part.rest], valid_index[part.taken]
    counts = f"rows: {len(train_index):,} train, {len(valid_index):,} valid, {len(audit_index):,} audit"
    return Split(
        train=train_index,
        valid=valid_index,
        audit=audit_index,
        audit_from_valid=halved and valid is not None,
        notes=(counts, *notes) if notes else (),
    )


def carve(rows: Rows, share: float, *, seed: int, gap: int = 0) -> Carved:
    """Take about `share` of the rows: by time where there is an order, else at random with classes in proportion.

    Without groups exactly round(share * n) rows, each class within one row of its share (fewer only where a class has a single row); with
    groups, as near as whole groups allow.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    return _latest(rows, share, gap) if rows.order is not None else _drawn(rows, share, seed)


def _latest(rows: Rows, share: float, gap: int) -> Carved:
    """The latest rows; rows of one time stay together, `gap` rows before the cut and earlier rows of later groups are left out."""
    assert rows.order is not None
    unknown = int((rows.order != rows.order).sum())  # NaN and NaT differ from themselves
    if unknown:
        raise RefusedError(f"a split in time needs the time of every row, {unknown:,} of {rows.count:,} have none; fill or drop them")
    by_time = np.argsort(rows.order, kind="stable")
    sorted_times = rows.order[by_time]
    cuts = np.flatnonzero(sorted_times[1:] != sorted_times[:-1]) + 1
    if not len(cuts):
        raise RefusedError(f"a split in time needs at least two different times, all {rows.count:,} rows have the same")
    cut = int(cuts[np.argmin(np.abs(cuts - (rows.count - round(share * rows.count))))])
    rest, taken, notes = by_time[: max(cut - gap, 0)], by_time[cut:], []
    if rows.groups is not None:
        crossing = np.isin(rows.groups[rest], rows.groups[taken])
        earlier = int(crossing.sum())
        if earlier:
            notes.append(
                f"{counted(earlier, 'earlier row')} left out because rows of {'its' if earlier == 1 else 'their'} group come later"
            )
        rest = rest[~crossing]
    if not len(rest):
        raise RefusedError(
            f"no row is left before the latest {len(taken):,} of {rows.count:,}, a gap of {counted(gap, 'row')}"
            f"{' and the groups that reach across' if notes else ''}; give more rows, a smaller gap or no groups"
        )
    return Carved(rest=rest.astype(np.int64), taken=taken.astype(np.int64), notes=tuple(notes))


def _drawn(rows: Rows, share: float, seed: int) -> Carved:
    """Whole groups at random: within each class, shuffled groups are taken while that brings the class nearer to its share."""
    of_row, sizes = _numbered(rows.groups, rows.count)
    if len(sizes) < 2:
        raise RefusedError(f"splitting needs at least two groups of rows, all {rows.count:,} rows are one (duplicates count as a group)")
    of_group, classes = _classes(rows, of_row, len(sizes))
    shuffled = np.random.default_rng(seed).permutation(len(sizes))
    by_class = shuffled[np.argsort(of_group[shuffled], kind="stable")]
    groups_in = np.bincount(of_group, minlength=classes)
    rows_in = np.bincount(of_group, weights=sizes, minlength=classes).astype(np.int64)
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    members_of = np.split(by_class, np.cumsum(groups_in)[:-1])
    for members, quota in zip(members_of, _quotas(rows_in, groups_in, share), strict=True):
        members = members[np.argsort(sizes[members] > quota, kind="stable")]  # a group that alone exceeds the share comes last
        reached = np.concatenate([[0], np.cumsum(sizes[members])[:-1]])  # without the last: every class keeps a group in the rest
        chosen[members[: np.argmin(np.abs(reached - quota))]] = True
    if not chosen.any() and rows.labels is not None:
        part = _drawn(Rows(count=rows.count, groups=rows.groups), share, seed)
        return Carved(rest=part.rest, taken=part.taken, notes=("no class has enough rows for two parts, so classes are not looked at",))
    if not chosen.any():
        chosen[np.argmin(sizes)] = True  # few and large groups: better one too many than an empty part
    notes = _alone(rows, groups_in, "group" if rows.groups is not None else "row")
    taken = chosen[of_row]
    return Carved(rest=np.flatnonzero(~taken), taken=np.flatnonzero(taken), notes=notes)


def _numbered(groups: NDArray[Any] | None, count: int) -> tuple[Index, Index]:
    """Each row's group as 0 .. G - 1, and the rows of every group."""
    if groups is None:
        return np.arange(count), np.ones(count, dtype=np.int64)
    _, of_row, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return of_row.astype(np.int64), sizes.astype(np.int64)


def _classes(rows: Rows, of_row: Index, groups: int) -> tuple[Index, int]:
    """Each group's commonest class as 0 .. C - 1, and C; one class where rows have no labels."""
    if rows.labels is None:
        return np.zeros(groups, dtype=np.int64), 1
    names, label = np.unique(rows.labels, return_inverse=True)
    pairs, times = np.unique(of_row * len(names) + label, return_counts=True)
    rising = pairs[np.argsort(times, kind="stable")]
    commonest = np.empty(groups, dtype=np.int64)
    commonest[rising // len(names)] = rising % len(names)  # numpy keeps the last value assigned to a place: the most frequent
    return commonest, len(names)


def _quotas(rows: Index, groups: Index, share: float) -> Index:
    """Rows to take of each class: its share rounded down or up, round(share * n) in all; up first where a class would be missing."""
    exact = share * rows
    quota: Index = np.floor(exact).astype(np.int64)
    quota[groups < 2] = 0  # a class of one row (or group) cannot lie on both sides: it trains
    can_rise = (groups > 1) & (exact > quota) & (quota + 1 < rows)
    rising = np.lexsort((-(exact - quota), quota > 0, ~can_rise))
    most = min(max(round(share * int(rows.sum())) - int(quota.sum()), 0), int(can_rise.sum()))
    quota[rising[:most]] += 1
    return quota


def _alone(rows: Rows, groups_in: Index, unit: str) -> tuple[str, ...]:
    if rows.labels is None:
        return ()
    single = int((groups_in == 1).sum())
    if not single:
        return ()
    if single == 1:
        return (f"one class has one {unit} only, which is not in this part",)
    return (f"{single:,} classes have one {unit} only, none of which is in this part",)


def _all(count: int) -> Index:
    return np.arange(count, dtype=np.int64)


def _told(name: str, share: str, rows: Rows, part: Carved, seed: int) -> list[str]:
    """How a part came about, then what the carving has to say."""
    if rows.order is not None:
        lost = rows.count - len(part.rest) - len(part.taken)
        how = f"the latest in time, {counted(lost, 'row')} before them left out"
    else:
        how = f"drawn with seed {seed}" + (", classes in proportion" if rows.labels is not None else "")
        if rows.groups is not None:
            together = int((_numbered(rows.groups, rows.count)[1] > 1).sum())
            how += f", {counted(together, 'group')} of rows kept whole" if together else ""
    return [f"{name}: {share}, {counted(len(part.taken), 'row')}, {how}", *(f"{name}: {note}" for note in part.notes)]


def duplicate_groups(rows: NDArray[Any] | Sequence[bytes]) -> Index:
    """One id a row, the same for equal rows: the columns of a 2-D array (NaN equals NaN, -0 equals 0), or a list of bytes.

    Arrays are compared by a 64-bit hash. Two different rows of a million share one with a chance of 3 in 100 million, and would then merely
    stay on one side of the split.
    """
    if not isinstance(rows, np.ndarray):
        seen: dict[bytes, int] = {}
        return np.fromiter((seen.setdefault(row, len(seen)) for row in rows), dtype=np.int64, count=len(rows))
    if rows.ndim != 2:
        raise ValueError(f"rows must be a 2-D array, got {rows.ndim} dimensions")
    hashed = [_hashed(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)]
    return np.unique(np.concatenate(hashed), return_inverse=True)[1].astype(np.int64) if hashed else _all(0)


def _hashed(rows: NDArray[Any]) -> NDArray[np.uint64]:
    if np.issubdtype(rows.dtype, np.floating):
        rows = rows + np.zeros((), dtype=rows.dtype)  # -0.0 + 0.0 is 0.0
        rows[np.isnan(rows)] = np.nan  # one bit pattern for all
    width = rows.shape[1] * rows.dtype.itemsize
    packed = np.zeros((len(rows), -(-width // 8) * 8), dtype=np.uint8)
    packed[:, :width] = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), width)
    hashed = np.zeros(len(rows), dtype=np.uint64)
    for word in np.ascontiguousarray(packed.view(np.uint64).T):
        hashed = (hashed ^ word) * np.uint64(0x9E3779B97F4A7C15)  # the multiplier of splitmix64, odd, so nothing is lost
        hashed ^= hashed >> np.uint64(29)  # high bits back down, or they would never reach the next product
    return hashed
