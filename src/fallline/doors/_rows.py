"""Rows: which rows of a table train, decide and report: the official split, time, groups, classes and duplicates, in that order."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fallline._counted import counted
from fallline._errors import RefusedError
from fallline._splits import Rows, duplicate_groups, split_rows
from fallline.doors._columns import Column
from fallline.doors._prepare import PARTS, moments, numbers, seconds, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

OFFICIAL = {"train": 0, "training": 0, "valid": 1, "validation": 1, "val": 1, "dev": 1, "test": 2, "testing": 2, "audit": 2}
UNUSED = len(PARTS)  # the code of a row that no part uses
BLOCKS = 40  # blocks of time that are resampled: enough for an interval, each as long as can be, as neighbours in time are alike


@dataclass(frozen=True, kw_only=True)
class Division:
    """The part of every row of the file, and the groups that are resampled together."""

    part: NDArray[np.uint8]  # 0 train, 1 valid, 2 audit, 3 none
    groups: NDArray[np.int64] | None
    notes: tuple[str, ...]

    def rows(self, name: str) -> NDArray[np.int64]:
        return np.flatnonzero(self.part == PARTS.index(name))

    def groups_of(self, name: str) -> NDArray[np.int64] | None:
        return None if self.groups is None else self.groups[self.rows(name)]

    def packed(self) -> str:
        """The parts as text for a preparation; `_prepare.part_of_row` reads it."""
        return base64.b64encode(zlib.compress(self.part.tobytes(), 9)).decode("ascii")


def official_split(column: pl.Series) -> NDArray[np.int64] | None:
    """The part of each row where the column says train, valid or test; None where it says anything else. Rows that say nothing get 3."""
    text = words(column).str.to_lowercase()
    said = set(text.drop_nulls().unique().to_list())
    if not said <= set(OFFICIAL) or {OFFICIAL[word] for word in said} in ({0}, {1}, {2}, {1, 2}, set()):
        return None
    return np.array([OFFICIAL.get(word, UNUSED) if word is not None else UNUSED for word in text.to_list()], dtype=np.int64)


def equal_rows(frame: pl.DataFrame, columns: list[Column], decimal: str) -> NDArray[np.int64] | None:
    """One id for all rows with equal features; None where no two are equal."""
    values = []
    for column in columns:
        series = frame[column.name]
        if column.kind == "number":
            values.append(numbers(series, decimal))
        elif column.kind == "date":
            values.append(seconds(moments(series, column.form)))
        elif series.n_unique() < len(series):  # a name of its own for every row would make equal rows differ
            values.append(words(series).rank("dense").cast(pl.Float64).fill_null(float("nan")).to_numpy())
    if not values:
        return None
    ids = duplicate_groups(np.stack(values, axis=1))
    return ids if len(np.unique(ids)) < len(ids) else None


def group_ids(column: pl.Series) -> tuple[NDArray[np.int64], str]:
    """One id for all rows with the same value; a row without a value is a group of its own."""
    ranks = words(column).rank("dense").cast(pl.Int64)
    missing = ranks.is_null().to_numpy()
    ids = ranks.fill_null(0).to_numpy(writable=True)
    ids[missing] = -1 - np.arange(int(missing.sum()))
    note = f"rows with the same {column.name} stay in one part ({counted(len(np.unique(ids)), 'group')})"
    alone = int(missing.sum())
    if alone:
        note += f"; {counted(alone, 'row')} without one {'is a group of its own' if alone == 1 else 'are groups of their own'}"
    return ids, note


def time_order(column: pl.Series, what: Column, decimal: str) -> NDArray[np.float64]:
    """Where each row stands in time."""
    if what.kind == "number":
        return numbers(column, decimal)
    if what.kind == "date":
        return seconds(moments(column, what.form))
    example = words(column).drop_nulls()
    came = f"{example[0]!r}" if len(example) else "nothing"
    raise RefusedError(
        f"time column {column.name!r} must hold dates or numbers, got {came}; write dates as year-month-day hour:minute:second"
    )


def divide(
    rows: NDArray[np.bool_],
    *,
    seed: int,
    labels: NDArray[Any] | None,
    groups: NDArray[np.int64] | None,
    order: NDArray[np.float64] | None,
    official: NDArray[np.int64] | None,
    gap: int | None = None,
) -> Division:
    """The parts of a table's rows; every array has one value a row of the file, `rows` says which can be used at all.

    `gap` rows lie between parts in time (None: 1 % of train).
    """
    part = np.full(len(rows), UNUSED, dtype=np.uint8)
    given = [np.flatnonzero(rows & (official == code)) if official is not None else np.flatnonzero(rows)[:0] for code in (0, 1, 2)]
    if official is None:
        given[0] = np.flatnonzero(rows)

    def described(index: NDArray[np.int64]) -> Rows:
        whole = Rows(count=len(rows), labels=labels, groups=groups, order=order)
        return whole.at(index)

    train = described(given[0])
    split = split_rows(
        train.count,
        seed=seed,
        labels=train.labels,
        groups=train.groups,
        order=train.order,
        gap=gap,
        n_audit=len(given[2]) or None,
        valid=described(given[1]) if len(given[1]) else None,
    )
    part[given[0][split.train]] = 0
    part[(given[1] if len(given[1]) else given[0])[split.valid]] = 1
    part[(given[2] if len(given[2]) else given[1] if split.audit_from_valid else given[0])[split.audit]] = 2
    units = groups
    if order is not None and groups is None:
        units = _blocks(order, part)
    notes = split.notes or (f"rows: {len(split.train):,} train, {len(split.valid):,} valid, {len(split.audit):,} audit",)
    return Division(part=part, groups=units, notes=notes)


def _blocks(order: NDArray[np.float64], part: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Each part in time order cut into blocks, rows of one time in the same block."""
    blocks = np.zeros(len(order), dtype=np.int64)
    for code in range(UNUSED):
        index = np.flatnonzero(part == code)
        times, position = np.unique(order[index], return_inverse=True)
        blocks[index] = position * min(BLOCKS, len(times)) // max(len(times), 1)
    return blocks
