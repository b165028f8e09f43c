"""How a fitted preparation turns a table into tensors: the same code in the door, for new rows and in exported scripts.

It stands alone (polars, numpy, torch), because `export --to script` copies it by its source. A preparation is plain JSON, made by
`_columns.py`, `_target.py` and `_rows.py` on the training rows.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

PARTS = ("train", "valid", "audit")  # the codes 0, 1, 2 of a split; 3 is a row that none of them uses
DAY = 86_400.0  # seconds


def read_frame(path: Any, reading: dict[str, Any]) -> pl.DataFrame:
    """The table as it lies in the file: a CSV's values as text, names without spaces around them, blank lines left out."""
    if reading["format"] == "parquet":
        frame = pl.read_parquet(path)
    else:
        frame = pl.read_csv(path, separator=reading["separator"], infer_schema=False)
        frame = frame.filter(pl.any_horizontal(pl.all().is_not_null()))
        frame.columns = [name.replace('""', '"') for name in frame.columns]  # polars leaves doubled quotation marks in names
    frame.columns = [name.strip() or f"column_{number}" for number, name in enumerate(frame.columns, 1)]
    return frame


def words(column: pl.Series) -> pl.Series:
    """Values as text without spaces around them; empty ones are missing."""
    text = column.cast(pl.String).str.strip_chars()
    return text.set(text == "", None)


def numbers(column: pl.Series, decimal: str = ".") -> Floats:
    """Values as float64; NaN where there is none or where it is no number."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        if decimal != ".":
            column = column.str.replace(decimal, ".", literal=True)
    elif column.dtype.is_temporal():
        column = column.cast(pl.Int64)
    return column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy(writable=True)


def moments(column: pl.Series, form: str) -> pl.Series:
    """Values as points in time; missing where they do not have the form ("" for a column that already holds times)."""
    if column.dtype == pl.String:
        column = column.str.strip_chars()
        if "%d" not in form:  # a month alone: its first day
            column, form = column + "-01", form + "-%d"
        column = column.str.to_datetime(form, strict=False)
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone is not None:
        column = column.dt.replace_time_zone(None)  # the hour on the wall is what habits follow; offsets in text are read as UTC
    return column.cast(pl.Datetime("us"))


def seconds(times: pl.Series) -> Floats:
    """Points in time as seconds since 1970; NaN where missing."""
    return times.dt.epoch("us").cast(pl.Float64).fill_null(float("nan")).to_numpy() / 1e6


def calendar(times: pl.Series) -> dict[str, Floats]:
    """Where each time stands in the turn of the year, the week and the day (0 to 1), its year, and itself in seconds."""

    def filled(part: pl.Series) -> Floats:
        return part.cast(pl.Float64).fill_null(float("nan")).to_numpy()

    clock = filled(times.dt.hour()) * 3600 + filled(times.dt.minute()) * 60 + filled(times.dt.second())
    return {
        "day of year": (filled(times.dt.ordinal_day()) - 1) / 365.25,  # the month is in it
        "day of week": (filled(times.dt.weekday()) - 1) / 7,
        "time of day": clock / DAY,
        "year": filled(times.dt.year()),
        "time": seconds(times),
    }


def number_features(column: pl.Series, spec: dict[str, Any]) -> list[Floats]:
    """Each map of the column, a line through stored points that stays flat outside them; then a flag for missing values."""
    values = numbers(column, spec["decimal"])
    missing = np.isnan(values)
    values[missing] = spec["fill"]
    features = [np.interp(values, places, heights) for places, heights in spec["maps"]]
    return [*features, missing.astype(np.float64)] if spec["missing"] else features


def date_features(column: pl.Series, spec: dict[str, Any]) -> list[Floats]:
    """Sine and cosine of what turns, a straight line for what passes; a missing time is zero in all of them and flagged."""
    parts = calendar(moments(column, spec["form"]))
    features = []
    for name in spec["turning"]:
        angle = 2 * np.pi * parts[name]
        features += [np.sin(angle), np.cos(angle)]
    for name, location, scale in spec["passing"]:
        features.append(np.clip((parts[name] - location) / scale, -5.0, 5.0))
    missing = np.isnan(parts["time"])
    features = [np.where(missing, 0.0, feature) for feature in features]
    return [*features, missing.astype(np.float64)] if spec["missing"] else features


def category_codes(column: pl.Series, spec: dict[str, Any]) -> NDArray[np.int64]:
    """1, 2, ... for the stored values; 0 for rare values, for values never seen, and for missing ones unless they have a code."""
    codes = pl.DataFrame(
        {"value": spec["values"], "code": np.arange(1, len(spec["values"]) + 1)}, schema={"value": pl.String, "code": pl.Int64}
    )
    text = words(column).rename("value")
    found = text.to_frame().join(codes, on="value", how="left", maintain_order="left")["code"].fill_null(0).to_numpy(writable=True)
    found[text.is_null().to_numpy()] = spec["missing"]
    return found


def features(frame: pl.DataFrame, preparation: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's inputs: numeric features, float32 (rows, F), and category codes, int64 (rows, C)."""
    makers = {"number": number_features, "date": date_features}
    numeric = [
        feature for spec in preparation["columns"] if spec["kind"] in makers for feature in makers[spec["kind"]](frame[spec["name"]], spec)
    ]
    categories = [category_codes(frame[spec["name"]], spec) for spec in preparation["columns"] if spec["kind"] == "category"]
    rows = len(frame)
    return (
        torch.from_numpy(np.stack(numeric, axis=1).astype(np.float32) if numeric else np.zeros((rows, 0), np.float32)),
        torch.from_numpy(np.stack(categories, axis=1).astype(np.int64) if categories else np.zeros((rows, 0), np.int64)),
    )


def targets(frame: pl.DataFrame, preparation: dict[str, Any]) -> torch.Tensor:
    """What is to be predicted: int64 indices for classes, ordered or not, else float32; rows without a target get -1 or NaN."""
    spec = preparation["target"]
    columns = [
        label_indices(frame[name], labels, numeric, spec["decimal"]) if labels else numbers(frame[name], spec["decimal"])
        for name, labels, numeric in zip(spec["names"], spec["labels"], spec["numeric"], strict=True)
    ]
    values = np.stack(columns, axis=1)
    if spec["scale"] is not None:
        location, scale = (np.asarray(part, dtype=np.float64) for part in spec["scale"])
        values = (values - location) / scale
    if len(columns) == 1:
        values = values[:, 0]
    return torch.from_numpy(values.astype(np.int64 if spec["task"] in ("multiclass", "ordinal") else np.float32))


def label_indices(column: pl.Series, labels: Sequence[str], numeric: bool, decimal: str = ".") -> Floats:
    """Each row's class as its index in the labels, -1 where it is none of them."""
    if not numeric:
        known = {label: float(index) for index, label in enumerate(labels)}
        return np.array([known.get(value, -1.0) for value in words(column).to_list()], dtype=np.float64)
    values = numbers(column, decimal)
    found = np.full(len(values), -1.0)
    for index, label in enumerate(labels):
        found[values == float(label)] = index
    return found


def apply(frame: pl.DataFrame, preparation: dict[str, Any]) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Inputs and targets of every row of a table that has the columns of the one the preparation was fitted on."""
    return features(frame, preparation), targets(frame, preparation)


def part_of_row(preparation: dict[str, Any]) -> NDArray[np.uint8]:
    """The part of each row of the file: 0 train, 1 valid, 2 audit, 3 none."""
    return np.frombuffer(zlib.decompress(base64.b64decode(preparation["split"])), dtype=np.uint8)


def parts(frame: pl.DataFrame, preparation: dict[str, Any]) -> dict[str, tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Train, valid and audit of the file that the preparation was fitted on, their rows in the order of the file."""
    inputs, target = apply(frame, preparation)
    return in_parts(inputs, target, preparation)


def in_parts(inputs: Any, target: torch.Tensor, preparation: dict[str, Any]) -> dict[str, tuple[Any, torch.Tensor]]:
    """Inputs, a tensor or a tuple of tensors, and targets by the part that each example is in."""
    part = part_of_row(preparation)
    if len(part) != len(target):
        raise ValueError(f"the preparation was fitted on {len(part):,} examples, this gives {len(target):,}; give the same data")
    made = {}
    for code, name in enumerate(PARTS):
        rows = torch.from_numpy(np.flatnonzero(part == code))
        chosen = inputs[rows] if isinstance(inputs, torch.Tensor) else tuple(tensor[rows] for tensor in inputs)
        made[name] = chosen, target[rows]
    return made


def parts_of_file(path: Any, preparation: dict[str, Any]) -> dict[str, tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """Train, valid and audit of a file."""
    return parts(read_frame(path, preparation["reading"]), preparation)
