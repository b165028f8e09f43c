"""Target: what is to be predicted, and which rows have it; refuses what nobody could learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._counted import counted
from fallline._errors import RefusedError, UsageError
from fallline.doors._columns import Column, column_of
from fallline.doors._prepare import label_indices, numbers, words
from fallline.doors._task import MOST_CLASSES, decide, of_columns, of_numbers, of_words, spelled
from fallline.metrics import PER_CLASS

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

YES = ("1", "true", "yes", "y", "t", "positive", "pos")
NO_AND_YES = (("false", "true"), ("no", "yes"))  # words that make a column a label of a multilabel target
LARGEST = 1e15  # standardised, or raw for a count: squares of larger ones, summed over a batch, overflow float32
SHOWN = 6  # class names in a note: what fits into a line


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target columns as they stand in the file, and what they mean."""

    names: tuple[str, ...]
    task: str
    values: NDArray[np.float64]  # (rows, columns): numbers, 0 or 1, or the index of the class; NaN where there is none
    labels: tuple[tuple[str, ...], ...]  # for each column its class names in order of their index; empty for numbers
    numeric: tuple[bool, ...]  # for each column whether it holds numbers
    decimal: str
    notes: tuple[str, ...]

    @property
    def rows(self) -> NDArray[np.bool_]:
        """Which rows of the file have a target."""
        missing: NDArray[np.bool_] = np.isnan(self.values.sum(axis=1))  # a sum with NaN is NaN
        return ~missing

    @property
    def classes(self) -> NDArray[np.float64] | None:
        """The class of every row, by which parts are stratified; None where there are none, or several."""
        return self.values[:, 0] if self.task in ("binary", *PER_CLASS) else None

    def class_names(self) -> tuple[str, ...]:
        """The classes in order of their index, or the labels of a multilabel target; empty for numbers."""
        return self.names if self.task == "multilabel" else self.labels[0]

    def fitted(self, train: NDArray[np.int64]) -> dict[str, Any]:
        """The target's part of the preparation: regression targets are standardised by the training rows, counts stay raw."""
        values = self.values[train]
        for name, column in zip(self.names, values.T, strict=True):
            if column.min() == column.max() and self.task != "multilabel":
                raise RefusedError(
                    f"target {name!r} has one value only in all {len(train):,} training rows; give more rows or another split"
                )
        self._refuse_wild(0.0, LARGEST**9)  # before anything is squared
        scale: list[Any] | None = None
        if self.task == "regression":
            location, spread = values.mean(axis=0), values.std(axis=0)
            if not (np.isfinite(location).all() and np.isfinite(spread).all() and (spread > 0).all()):
                raise RefusedError(f"target {', '.join(self.names)}: its variance is out of the range of numbers; give it in another unit")
            scale = [float(location[0]), float(spread[0])] if len(self.names) == 1 else [location.tolist(), spread.tolist()]
        self._refuse_wild(*(scale or (0.0, 1.0)))
        return {
            "names": list(self.names),
            "task": self.task,
            "labels": [list(labels) for labels in self.labels],
            "numeric": list(self.numeric),
            "decimal": self.decimal,
            "scale": scale,
        }

    def _refuse_wild(self, location: Any, spread: Any) -> None:
        """Refuse values that no float32 loss could square."""
        known = self.values[self.rows]
        if (np.abs((known - location) / spread) > LARGEST).any():
            raise RefusedError(
                f"target {', '.join(self.names)} has values out of all proportion, such as {known.flat[np.abs(known).argmax()]:g}; "
                f"correct or remove such rows, or give it in another unit"
            )

    def start(self, train: NDArray[np.int64]) -> list[float]:
        """What the best constant model gives, one number an output: log-odds, log-shares, the logarithm of the mean count, or 0."""
        values = self.values[train]
        if self.task in PER_CLASS:
            counts = np.bincount(values[:, 0].astype(np.int64), minlength=len(self.labels[0])) + 1.0  # one more: no class is impossible
            return [float(part) for part in np.log(counts / counts.sum())]
        if self.task in ("binary", "multilabel"):
            shares = (values.sum(axis=0) + 1.0) / (len(values) + 2.0)
            return [float(part) for part in np.log(shares / (1 - shares))]
        if self.task == "count":
            return [float(part) for part in np.log(values.mean(axis=0))]
        return [0.0] * values.shape[1]  # standardised


def target_of(frame: pl.DataFrame, names: list[str], *, decimal: str, metric: Any, task: str | None, positive: Any) -> Target:
    """The target in these columns; its task is decided in `_task.py`."""
    task = spelled(task)
    kinds = [column_of(frame[name], decimal) for name in names]
    for what in kinds:
        _refuse_kind(what, len(frame))
    if len(names) > 1:
        return _several(frame, kinds, decimal, metric, task, positive)
    return (_of_numbers if kinds[0].kind == "number" else _of_words)(frame[names[0]], kinds[0], decimal, metric, task, positive)


def _of_numbers(column: pl.Series, what: Column, decimal: str, metric: Any, task: str | None, positive: Any) -> Target:
    values = _finite(column, decimal)
    known = values[~np.isnan(values)]
    distinct = np.unique(known).tolist()
    _refuse_one(what, [_label(value) for value in distinct[:2]], len(known))
    decided, said = decide(of_numbers(known, distinct), task=task, metric=metric, target=what.name)
    if decided in ("regression", "count"):
        _refuse_positive(positive, decided)
        return _target(what, decided, values, (), [said], decimal)
    labels = [_label(value) for value in distinct]
    rows = [int((known == value).sum()) for value in distinct]
    return _of_classes(column, what, decided, labels, rows, said, decimal, positive)


def _of_words(column: pl.Series, what: Column, decimal: str, metric: Any, task: str | None, positive: Any) -> Target:
    counts = words(column).rename("value").drop_nulls().value_counts(name="rows").sort("value")
    labels, rows = counts["value"].to_list(), counts["rows"].to_list()
    if task == "ordinal":
        raise UsageError(
            f"target {what.name!r} holds words ({labels[0]!r}, ...), whose order nobody told; write them as whole numbers in their order, "
            "such as 0, 1, 2"
        )
    _refuse_one(what, labels, sum(rows))
    if len(labels) > min(MOST_CLASSES, sum(rows) // 2):
        raise RefusedError(
            f"target {what.name!r} has {len(labels):,} different texts in {sum(rows):,} rows ({labels[0]!r}, {labels[1]!r}, ...): "
            f"as classes they need several rows each; name another column, or group them"
        )
    decided, said = decide(of_words(labels), task=task, metric=metric, target=what.name)
    return _of_classes(column, what, decided, labels, rows, said, decimal, positive)


def _of_classes(
    column: pl.Series, what: Column, task: str, labels: list[str], rows: list[int], said: str, decimal: str, positive: Any
) -> Target:
    if task == "binary":
        chosen, why = _positive(labels, rows, positive, what.kind == "number")
        share = rows[labels.index(chosen)] / sum(rows)
        labels = [*(label for label in labels if label != chosen), chosen]
        notes = [said, f"positive class: {chosen} ({why}), {share:.1%} of the rows"]
    else:
        _refuse_positive(positive, task)
        kind = "ranks, lowest first" if task == "ordinal" else "classes"
        notes = [said, f"{kind}: {len(labels):,} ({', '.join(labels[:SHOWN])}{', ...' if len(labels) > SHOWN else ''})"]
    values = label_indices(column, labels, what.kind == "number", decimal)
    values[values < 0] = np.nan
    return _target(what, task, values, tuple(labels), notes, decimal)


def _target(what: Column, task: str, values: NDArray[np.float64], labels: tuple[str, ...], notes: list[str], decimal: str) -> Target:
    return Target(
        names=(what.name,),
        task=task,
        values=values[:, None],
        labels=(labels,),
        numeric=(what.kind == "number",),
        decimal=decimal,
        notes=(*_dropped((what,), values[:, None]), *notes),
    )


def _several(frame: pl.DataFrame, kinds: list[Column], decimal: str, metric: Any, task: str | None, positive: Any) -> Target:
    """Several columns: of yes or no, labels of which any may hold; of numbers, outputs of one regression."""
    names = tuple(what.name for what in kinds)
    pairs = [yes_or_no(frame[what.name], what, decimal) for what in kinds]
    neither = [what.name for what, pair in zip(kinds, pairs, strict=True) if what.kind != "number" and not pair]
    if neither:
        raise RefusedError(
            f"several targets must all be numbers, or all be 0 and 1; {neither[0]!r} is neither: give one target, or drop it"
        )
    decided, said = decide(of_columns(names, all(pairs)), task=task, metric=metric, target=",".join(names))
    _refuse_positive(positive, decided)
    columns = []
    for what, pair in zip(kinds, pairs, strict=True):
        if decided == "multilabel":
            values = label_indices(frame[what.name], pair, what.kind == "number", decimal)
            values[values < 0] = np.nan
        else:
            values = _finite(frame[what.name], decimal)
            _refuse_one(what, [_label(value) for value in np.unique(values[~np.isnan(values)])[:2]], len(frame))
        columns.append(values)
    stacked = np.stack(columns, axis=1)
    if np.isnan(stacked).any(axis=1).all():
        raise RefusedError(f"no row has a value in all {len(names)} target columns; fill them, or give fewer targets")
    return Target(
        names=names,
        task=decided,
        values=stacked,
        labels=tuple(pairs) if decided == "multilabel" else tuple(() for _ in names),
        numeric=tuple(what.kind == "number" for what in kinds),
        decimal=decimal,
        notes=(*_dropped(tuple(kinds), stacked), said),
    )


def yes_or_no(column: pl.Series, what: Column, decimal: str) -> tuple[str, ...]:
    """The two labels of a column of 0 and 1, or of no and yes; empty for another column."""
    if what.kind == "number":
        values = numbers(column, decimal)
        return ("0", "1") if np.isin(values[~np.isnan(values)], (0.0, 1.0)).all() else ()
    found = words(column).drop_nulls().unique().to_list()
    by_lower = {value.lower(): value for value in found}
    for no, yes in NO_AND_YES:
        if set(by_lower) <= {no, yes} and len(by_lower) == len(found):
            return (by_lower.get(no, no), by_lower.get(yes, yes))
    return ()


def _positive(labels: list[str], rows: list[int], positive: Any, numeric: bool) -> tuple[str, str]:
    """The positive class: as given, else 1, yes or true, else the larger number or the rarer class; and why."""
    if positive is not None:
        wanted = str(positive).strip().lower()
        same = [label for label in labels if label.lower() == wanted or (numeric and _as_number(label) == _as_number(wanted))]
        if not same:
            raise UsageError(f"positive must be one of the target's classes, {' or '.join(labels)}, got {positive!r}")
        return same[0], "as given"
    spoken = [label for label in labels if label.lower() in YES]
    if len(spoken) == 1:
        return spoken[0], "it says yes"
    if numeric:
        return labels[-1], "the larger number"
    return labels[0] if rows[0] < rows[1] else labels[1], "the rarer class" if rows[0] != rows[1] else "the later in the alphabet"


def _refuse_kind(what: Column, rows: int) -> None:
    if what.kind == "empty":
        raise RefusedError(f"target {what.name!r} has no value in any of the {counted(rows, 'row')}; name another column")
    if what.kind == "nested":
        raise RefusedError(f"target {what.name!r} holds lists or structures; a target is a column of numbers or of classes")
    if what.kind == "date":
        raise RefusedError(f"target {what.name!r} is a date; turn it into a number, such as the days since a fixed date")


def _refuse_one(what: Column, labels: list[str], rows: int) -> None:
    if len(labels) == 1:
        kind = "value" if what.kind == "number" else "class"
        raise RefusedError(
            f"target {what.name!r} has one {kind} only, {labels[0]!r} in all {rows:,} rows: there is nothing to learn; name another column"
        )


def _refuse_positive(positive: Any, task: str) -> None:
    if positive is not None:
        raise UsageError(f"positive names the positive class of one binary target, the task here is {task}; leave it out")


def _finite(column: pl.Series, decimal: str) -> NDArray[np.float64]:
    """The numbers of a target; refuses infinite ones, which no loss survives."""
    values = numbers(column, decimal)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise RefusedError(
            f"target {column.name!r} is infinite in {counted(len(infinite), 'row')}, first in row "
            f"{infinite[0] + 1:,} below the header ({column[int(infinite[0])]}); correct or remove such rows"
        )
    return values


def _label(value: float) -> str:
    """A number as the name of a class: whole ones without a decimal point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text)


def _dropped(kinds: tuple[Column, ...], values: NDArray[np.float64]) -> list[str]:
    lost = int(np.isnan(values).any(axis=1).sum())
    if not lost:
        return []
    strange = next((f" (such as {what.example!r})" for what in kinds if what.strange), "")
    names = " and ".join(what.name for what in kinds[:SHOWN]) + (" ..." if len(kinds) > SHOWN else "")
    return [f"left out {counted(lost, 'row')} without a value of {names}{strange}"]
