"""From a table's file to a Problem: the steps in order; each decision is in the module that it names."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError, UsageError, nearest
from fallline._problem import Origin, Problem
from fallline.doors import _prepare
from fallline.doors._columns import Column, column_of, counted, fitted, refuse_text, says_nothing
from fallline.doors._reading import frame_of, reading_of
from fallline.doors._rows import Division, divide, equal_rows, group_ids, official_split, time_order
from fallline.doors._target import Target, target_of
from fallline.doors.models.tabular import TabularNet
from fallline.metrics import resolve

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

ENOUGH = 8_000  # different training rows from which the larger model is worth its time
YES_OR_NO = 10  # times as many where a row only says yes or no: at most a bit, and mostly noise
# The small model with dropout before the head alone was worse on seven tables of eight (two seeds); the large one as good on three of
# four and better on one, for three quarters of the time. Twice the width costs twice the time and was clearly better on one of four.
SMALL = {"width": 64, "depth": 2, "dropout": [0.3, 0.3]}
LARGE = {"width": 128, "depth": 3, "dropout": [0.0, 0.0, 0.1]}
SHOWN = 12  # names that a message lists: what fits into two lines


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user said about the table; the meaning of each is in `table.open_table`."""

    target: str | None
    metric: Any
    direction: str | None
    task: str | None
    group: str | None
    time: str | None
    positive: Any
    epochs: float | None
    batch_size: int | None
    seed: int

    def plain(self) -> dict[str, Any]:
        """What was given, as far as it is plain JSON; a metric that is a function is not."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if isinstance(value, str | int | float)}


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)  # an unknown metric is said before a large file is read
    reading, notes = reading_of(path)
    frame = frame_of(path, reading)
    names = _target_names(asked.target, frame.columns)
    for flag, name in (("group", asked.group), ("time", asked.time)):
        _check_column(name, flag, frame.columns, names)
    target = target_of(frame, names, decimal=reading["decimal"], metric=asked.metric, task=asked.task, positive=asked.positive)
    notes += target.notes

    split_name, official = _official(frame, {*names, asked.group, asked.time})
    columns, left_out = _features(frame, {*names, asked.group, split_name}, asked.time, reading["decimal"])
    specs = []
    if columns:
        division = _divided(frame, columns, target, official, asked, reading["decimal"], notes)
        train = division.rows("train")
        specs = _fitted(frame, columns, train, asked, reading["decimal"], notes, left_out)
    if not specs:
        but = f" (left out: {_listed(left_out)})" if left_out else ""
        raise RefusedError(f"{path} has no column from which {asked.target!r} could be predicted{but}; add one that says something of it")
    if asked.time is None and official is None:
        dates = [column.name for column in columns if column.kind == "date"]
        notes += [f"rows are split at random; say --time {dates[0]} if later rows are to be predicted from earlier ones"] if dates else []

    preparation: dict[str, Any] = {
        "format": 1,
        "reading": reading,
        "columns": specs,
        "target": target.fitted(train),
        "split": division.packed(),
        "model": {"name": TabularNet.__name__, "arguments": {}},
    }
    made = _prepare.parts(frame, preparation)
    groups = division.groups_of("train") if asked.group is None and asked.time is None else None  # then they are equal rows
    different = len(train) if groups is None else len(np.unique(groups))
    arguments = model_arguments(made["train"], preparation, target.start(train), different)
    preparation["model"]["arguments"] = arguments
    return Problem(
        model=partial(TabularNet, **arguments),
        train=made["train"],
        valid=made["valid"],
        audit=made["audit"],
        metric=asked.metric,
        direction=asked.direction,
        task=target.task,
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        origin=Origin(
            kind="table",
            source=str(path),
            options=asked.plain(),
            preparation=preparation,
            scale=preparation["target"]["scale"] and tuple(preparation["target"]["scale"]),
            labels=target.class_names(),
            notes=tuple(notes),
            train_groups=division.groups_of("train"),
            valid_groups=division.groups_of("valid"),
            audit_groups=division.groups_of("audit"),
            reopen=None if official is not None or asked.time is not None else lambda seed: opened(path, replace(asked, seed=seed)),
        ),
    )


def model_arguments(train: Any, preparation: dict[str, Any], start: list[float], rows: int) -> dict[str, Any]:
    """The default model for `rows` different training rows: a small one, or from ENOUGH rows on a larger one.

    Plain AdamW at the default length, one or two seeds: with less to learn from (eight tables), the small one ended better or equal on
    seven; with more (four tables), the large one ended 8 to 17 % better on three (California housing: MAE 32,800 against 35,500).
    """
    (numeric, _), _ = train
    yes_or_no = preparation["target"]["task"] in ("binary", "multilabel")
    small = rows < ENOUGH * (YES_OR_NO if yes_or_no else 1)
    return {
        "numeric": numeric.shape[1],
        "cardinalities": [spec["size"] for spec in preparation["columns"] if spec["kind"] == "category"],
        "outputs": len(start),
        **(SMALL if small else LARGE),
        "start": start,
    }


def _target_names(target: str | None, columns: list[str]) -> list[str]:
    """The target as one column, or as several that commas separate."""
    if not target:
        raise UsageError(f"which column is to be predicted? Name it with --target; the table has {_listed(columns)}")
    if target in columns:
        return [target]
    names = [part.strip() for part in target.split(",")] if "," in target else [target.strip()]
    for name in names:
        if name not in columns:
            raise UsageError(f"no column {name!r} to predict; {_advice(name, columns)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"target {twice[0]!r} is named twice; name every target column once")
    return names


def _check_column(name: str | None, flag: str, columns: list[str], targets: list[str]) -> None:
    if name is None:
        return
    if name not in columns:
        raise UsageError(f"no column {name!r} for --{flag}; {_advice(name, columns)}")
    if name in targets:
        raise UsageError(f"--{flag} names the target {name!r}, which is not known for new rows; name another column")


def _advice(name: str, columns: list[str]) -> str:
    close = nearest(name, columns)
    return f"did you mean {' or '.join(close)}?" if close else f"the table has {_listed(columns)}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _official(frame: pl.DataFrame, taken: set[str | None]) -> tuple[str | None, NDArray[np.int64] | None]:
    """The column called `split`, where it says train, valid and test, and the part of each row by it."""
    for name in frame.columns:
        if name.lower() == "split" and name not in taken:
            parts = official_split(frame[name])
            return (name, parts) if parts is not None else (None, None)
    return None, None


def _features(frame: pl.DataFrame, taken: set[str | None], time: str | None, decimal: str) -> tuple[list[Column], list[str]]:
    """The columns that can be features, and those that cannot with the reason."""
    columns, left_out = [], []
    for name in frame.columns:
        if name in taken:
            continue
        column = column_of(frame[name], decimal)
        if name == time and column.kind != "date":
            continue  # it only counts up: later parts lie outside of what train has seen
        if column.kind == "nested":
            raise RefusedError(
                f"column {name!r} holds lists or structures ({frame[name].dtype}); write each part into a column of its own, or drop it"
            )
        if column.kind == "category":
            refuse_text(frame[name], _prepare.words(frame[name]))
        reason = says_nothing(frame[name], column, decimal)
        if reason:
            left_out.append(f"{name} ({reason})")
        else:
            columns.append(column)
    return columns, left_out


def _divided(
    frame: pl.DataFrame,
    columns: list[Column],
    target: Target,
    official: NDArray[np.int64] | None,
    asked: Asked,
    decimal: str,
    notes: list[str],
) -> Division:
    """The parts of the rows, by what is known of them."""
    groups = order = None
    if official is not None:
        notes.append("the column split is the official split: train and valid as it says, test reports (audit)")
    if asked.time is not None:
        order = time_order(frame[asked.time], column_of(frame[asked.time], decimal), decimal)
    if asked.group is not None:
        groups, note = group_ids(frame[asked.group])
        notes.append(note)
    elif asked.time is None:
        groups = equal_rows(frame, columns, decimal)
        if groups is not None:
            repeated = len(groups) - len(np.unique(groups))
            repeat = "1 row repeats" if repeated == 1 else f"{repeated:,} rows repeat"
            notes.append(f"{repeat} the features of another; rows with equal features stay in one part")
    classes = target.values[:, 0] if target.task in ("binary", "multiclass") else None
    division = divide(target.rows, seed=asked.seed, labels=classes, groups=groups, order=order, official=official)
    notes += division.notes
    return division


def _fitted(
    frame: pl.DataFrame,
    columns: list[Column],
    train: NDArray[np.int64],
    asked: Asked,
    decimal: str,
    notes: list[str],
    left_out: list[str],
) -> list[dict[str, Any]]:
    """The preparation of every column that can tell something; what is left out or read in a special way is said."""
    specs, remarks = [], []
    for column in columns:
        spec, remark = fitted(frame[column.name], column, train, decimal, asked.time is not None)
        if spec is None:
            left_out.append(f"{column.name} ({remark})")
            continue
        specs.append(spec)
        if column.strange:
            kind = "number" if column.kind == "number" else "date"
            strange = counted(column.strange, "value")
            remarks.append(f"column {column.name}: {strange} such as {column.example!r} counted as missing, the others are {kind}s")
        remarks += [f"column {column.name}: {text}" for text in (remark, column.choice) if text]
    counts = {kind: sum(spec["kind"] == kind for spec in specs) for kind in ("number", "category", "date")}
    plural = {"number": "numbers", "category": "categories", "date": "dates"}
    notes.append("features: " + ", ".join(f"{count} {plural[kind] if count > 1 else kind}" for kind, count in counts.items() if count))
    missing = [spec["name"] for spec in specs if spec["missing"]]
    if missing:
        notes.append(f"missing values in {_listed(missing)}: a number gets its median and a flag, a category a value of its own")
    if left_out:
        notes.append(f"left out: {_listed(left_out)}")
    notes += remarks[:SHOWN]
    return specs
