"""From a table's file to a Problem: the steps in order; each decision is in the module that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._counted import counted
from fallline._errors import RefusedError
from fallline.doors import _prepare
from fallline.doors._asked import Asked
from fallline.doors._columns import Column, column_of, fitted, refuse_text, says_nothing
from fallline.doors._named import SHOWN, check_column, listed, official_column, target_names
from fallline.doors._opened import opened_problem
from fallline.doors._reading import frame_of, reading_of
from fallline.doors._rows import Division, divide, equal_rows, group_ids, time_order
from fallline.doors._target import Target, target_of
from fallline.doors.models.tabular import TabularNet
from fallline.metrics import resolve

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from fallline._problem import Problem

ENOUGH = 8_000  # different training rows from which the larger model is worth its time
YES_OR_NO = 10  # times as many where a row only says yes or no: at most a bit, and mostly noise
# The small model with dropout before the head alone was worse on seven tables of eight (two seeds); the large one as good on three of
# four and better on one, for three quarters of the time. Twice the width costs twice the time and was clearly better on one of four.
SMALL = {"width": 64, "depth": 2, "dropout": [0.3, 0.3]}
LARGE = {"width": 128, "depth": 3, "dropout": [0.0, 0.0, 0.1]}


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)  # an unknown metric is said before a large file is read
    reading, notes = reading_of(path)
    frame = frame_of(path, reading)
    names = target_names(asked.target, frame.columns)
    for flag, name in (("group", asked.group), ("time", asked.time)):
        check_column(name, flag, frame.columns, names)
    target = target_of(frame, names, decimal=reading["decimal"], metric=asked.metric, task=asked.task, positive=asked.positive)
    notes += target.notes

    split_name, official = official_column(frame, {*names, asked.group, asked.time})
    columns, left_out = _features(frame, {*names, asked.group, split_name}, asked.time, reading["decimal"])
    specs = []
    if columns:
        division = _divided(frame, columns, target, official, asked, reading["decimal"], notes)
        train = division.rows("train")
        specs = _fitted(frame, columns, train, asked, reading["decimal"], notes, left_out)
    if not specs:
        but = f" (left out: {listed(left_out)})" if left_out else ""
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
    return opened_problem(
        path,
        asked,
        kind="table",
        parts=made,
        model=TabularNet,
        preparation=preparation,
        task=target.task,
        division=division,
        notes=notes,
        labels=target.class_names(),
        again=opened if official is None and asked.time is None else None,
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
            repeat = f"{counted(repeated, 'row')} {'repeats' if repeated == 1 else 'repeat'}"
            notes.append(f"{repeat} the features of another; rows with equal features stay in one part")
    division = divide(target.rows, seed=asked.seed, labels=target.classes, groups=groups, order=order, official=official)
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
        notes.append(f"missing values in {listed(missing)}: a number gets its median and a flag, a category a value of its own")
    if left_out:
        notes.append(f"left out: {listed(left_out)}")
    notes += remarks[:SHOWN]
    return specs
