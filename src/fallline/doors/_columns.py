"""Columns: what kind each one is, and what is fitted for it on the training rows: numbers, categories, dates, missing values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fallline._counted import counted
from fallline._errors import RefusedError
from fallline.doors._prepare import calendar, moments, numbers, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What people write where there is no number; in a column of words these stay words.
NOTHING = ("na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "missing", "unknown")
MOST = 0.95  # of the values make a column numbers or dates; the rest is counted as missing and said
FEW_NUMBERS = 20  # distinct numbers below which a stray word makes a column categories: codes such as 1, 2, 3, unknown
MONTHS = "%Y-%m"
FORMS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    MONTHS,
)
DATES_TRIED = 500  # values on which a form of date is tried before all are read
TEXT_VALUES = 1_000  # distinct values above which long or many-worded ones are free text
TEXT_LENGTH = 20  # characters on average: names and codes are shorter
VALUE_ROWS = 5  # training rows a category value needs for an embedding of its own; fewer cannot be told from noise
VALUES = 254  # most values with an embedding of their own, the frequent ones first; what is rarer shares one
KNOTS = 33  # points of the map to a normal shape: on five tables as good as 129 or 513
REACH = 3.2  # standard deviations that the map spans: 0.1 % of the rows lie outside, the outermost points are the extremes
EQUAL = "all its values in train are equal"
LARGEST = 1e150  # numbers beyond it count as infinite: their squares are
CLIP = 5.0  # standard deviations at which the straight map of a number ends, so that one absurd value stays one value


@dataclass(frozen=True, kw_only=True)
class Column:
    """What a column of the file holds: "number", "date", "category", "empty" or "nested"."""

    name: str
    kind: str
    form: str = ""  # of dates written as text
    strange: int = 0  # values that are none of their column's kind and count as missing
    example: str = ""  # one of them
    choice: str = ""  # said where another reading was possible


def column_of(column: pl.Series, decimal: str) -> Column:
    """The kind of a column, from all its values; nothing is fitted here."""
    name, dtype = column.name, column.dtype
    if column.null_count() == len(column):
        return Column(name=name, kind="empty")
    if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
        return Column(name=name, kind="nested")
    if dtype.is_numeric() or dtype in (pl.Time, pl.Duration):
        finite = not bool(np.isnan(numbers(column)).all())
        return Column(name=name, kind="number" if finite else "empty")
    if dtype in (pl.Date, pl.Datetime):
        return Column(name=name, kind="date")
    if dtype != pl.String:
        return Column(name=name, kind="category")
    return _of_text(name, column, decimal)


def _of_text(name: str, column: pl.Series, decimal: str) -> Column:
    text = words(column)
    present = (text.is_not_null() & ~text.str.to_lowercase().is_in(NOTHING)).to_numpy()
    if text.null_count() == len(text):
        return Column(name=name, kind="empty")
    if not present.any():
        return Column(name=name, kind="empty" if text.drop_nulls().n_unique() == 1 else "category")
    values = numbers(column, decimal)
    found = ~np.isnan(values)
    strange = present & ~found
    if not strange.any() or (found[present].mean() >= MOST and len(np.unique(values[found])) > FEW_NUMBERS):
        return Column(name=name, kind="number", strange=int(strange.sum()), example=_first(text, strange))
    form, choice = _form(text.filter(pl.Series(present)))
    if form:
        unread = present & moments(column, form).is_null().to_numpy()
        if unread[present].mean() <= 1 - MOST:
            return Column(name=name, kind="date", form=form, strange=int(unread.sum()), example=_first(text, unread), choice=choice)
    return Column(name=name, kind="category")


def _first(text: pl.Series, where: NDArray[np.bool_]) -> str:
    return str(text[int(np.argmax(where))]) if where.any() else ""


def _form(text: pl.Series) -> tuple[str, str]:
    """The form of date that most values have, "" for none; and a sentence where day and month could be exchanged."""
    sample = text.head(DATES_TRIED) if len(text) <= DATES_TRIED else text.gather_every(len(text) // DATES_TRIED)
    if not sample.head(5).str.contains(r"^\d{1,4}[-/.]\d").any():
        return "", ""
    shares = {form: 1 - moments(sample, form).null_count() / len(sample) for form in FORMS}
    best = max(FORMS, key=lambda form: shares[form])
    if shares[best] < MOST:
        return "", ""
    twin = best.replace("%m/%d", "%d/%m")
    alike = twin != best and shares.get(twin) == shares[best]
    return best, f"its dates are read as month/day ({sample[0]}); if they are day/month, write them as year-month-day" if alike else ""


def says_nothing(column: pl.Series, what: Column, decimal: str) -> str:
    """Why a column can tell nothing about any row, whatever the split; "" where it may."""
    if what.kind == "empty":
        return "it has no value"
    # a few rows first: parsing a long column again costs more than all else here
    if what.kind == "number" and _counts_rows(numbers(column.head(5), decimal)) and _counts_rows(numbers(column, decimal)):
        return "it only numbers the rows"
    if column.n_unique() == 1:
        return "all its values are equal"
    return ""


def refuse_text(column: pl.Series, values: pl.Series) -> None:
    """Free text is no feature that this door can use: saying so is better than to learn from row numbers in disguise."""
    distinct = values.n_unique()
    if distinct <= TEXT_VALUES:
        return
    present = values.drop_nulls()
    length = float(present.str.len_chars().mean())  # type: ignore[arg-type]  # there are values, so there is a mean
    spaced = float(present.str.contains(r"\s").mean())  # type: ignore[arg-type]  # there are values, so there is a mean
    if length > TEXT_LENGTH or spaced > 0.5:  # half of the values are several words
        raise RefusedError(
            f"column {column.name!r} is free text: {distinct:,} different values, {length:.0f} characters long on average. To "
            f"learn from it alone, say --text {column.name}; for the other columns, drop it from the file or replace it by a few categories"
        )


def fitted(column: pl.Series, what: Column, train: NDArray[np.int64], decimal: str, timed: bool) -> tuple[dict[str, Any] | None, str]:
    """The column's part of the preparation, fitted on the training rows, and a remark; None where it can tell nothing."""
    if what.kind == "number":
        return _number(column, train, decimal)
    if what.kind == "date":
        return _date(column, what, train, timed)
    return _category(column, train)


def _number(column: pl.Series, train: NDArray[np.int64], decimal: str) -> tuple[dict[str, Any] | None, str]:
    values = numbers(column, decimal)[train]
    missing = bool(np.isnan(values).any())
    values = values[~np.isnan(values)]
    infinite = int((np.abs(values) > LARGEST).sum())
    values = values[np.abs(values) <= LARGEST]
    if not len(values):
        return None, "it has no value in the training rows"
    maps = number_maps(values)
    if not maps and not missing:
        return None, EQUAL
    spec = {"name": column.name, "kind": "number", "decimal": decimal, "fill": float(np.median(values)), "missing": missing, "maps": maps}
    return spec, f"{counted(infinite, 'infinite value')} taken as its extremes" if infinite else ""


def number_maps(values: NDArray[np.float64]) -> list[list[list[float]]]:
    """Two views of a number, each a line through stored points with mean 0 and deviation 1: to scale, and by rank.

    Straight: standardised and clipped, which keeps what is linear linear. By rank: quantiles to those of a normal, which opens up heavy
    tails. Together they were best or near it on ten tables, where either alone lost up to a tenth on some.
    """
    mean, deviation = float(values.mean()), float(values.std())
    low, high = float(values.min()), float(values.max())
    if high <= low or deviation <= 0:
        return []
    ends = [max(low, mean - CLIP * deviation), min(high, mean + CLIP * deviation)]
    straight = [ends, [(end - mean) / deviation for end in ends]]
    normal = np.linspace(-REACH, REACH, KNOTS)
    share = np.array([0.5 * (1 + math.erf(place / math.sqrt(2))) for place in normal])
    share[0], share[-1] = 0.0, 1.0
    places, which = np.unique(np.quantile(values, share), return_inverse=True)
    if len(places) < 3:  # two values: by rank is the same as to scale
        return [straight]
    heights = np.bincount(which, normal) / np.bincount(which)  # equal quantiles: the middle of their ranks
    shaped = np.interp(values, places, heights)
    heights = (heights - shaped.mean()) / shaped.std()
    return [straight, [places.tolist(), heights.tolist()]]


def _counts_rows(values: NDArray[np.float64]) -> bool:
    return len(values) > 2 and values[0] in (0.0, 1.0) and bool((values == values[0] + np.arange(len(values))).all())


def _date(column: pl.Series, what: Column, train: NDArray[np.int64], timed: bool) -> tuple[dict[str, Any] | None, str]:
    parts = {name: part[train] for name, part in calendar(moments(column, what.form)).items()}
    missing = bool(np.isnan(parts["time"]).any())
    known = ~np.isnan(parts["time"])
    if not known.any():
        return None, "it has no value in the training rows"
    turning = [name for name in ("day of year", "day of week", "time of day") if len(np.unique(parts[name][known])) > 1]
    if what.form == MONTHS:
        turning = [name for name in turning if name != "day of week"]  # of the first of a month, which nobody wrote
    # with a split in time the later parts lie outside of what was seen: what only passes would have to be guessed beyond it
    passing = [] if timed else [name for name in ("year", "time") if parts[name][known].std() > 0]
    lines = [[name, float(parts[name][known].mean()), float(parts[name][known].std())] for name in passing]
    if not turning and not lines and not missing:
        return None, EQUAL
    return {"name": column.name, "kind": "date", "form": what.form, "missing": missing, "turning": turning, "passing": lines}, ""


def _category(column: pl.Series, train: NDArray[np.int64]) -> tuple[dict[str, Any] | None, str]:
    text = words(column).rename("value")[train]
    counts = text.drop_nulls().value_counts(name="rows")
    frequent = counts.filter(pl.col("rows") >= VALUE_ROWS).sort(["rows", "value"], descending=[True, False])
    kept = sorted(frequent["value"].head(VALUES).to_list())
    missing = text.null_count() > 0
    rare = len(counts) - len(kept)
    if not kept and rare > 1:
        return None, f"none of its {rare:,} values is in {VALUE_ROWS} training rows, as in an identifier"
    if len(kept) + missing + (rare > 0) < 2:
        return None, EQUAL
    code = len(kept) + 1 if missing else 0
    spec = {"name": column.name, "kind": "category", "values": kept, "missing": code, "size": len(kept) + 1 + missing}
    return spec, f"values in fewer than {VALUE_ROWS} training rows share one code ({rare:,} of {len(counts):,})" if rare else ""
