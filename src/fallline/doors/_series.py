"""From a table in the order of time to a Problem: its steps, how far a window looks back, and which windows decide."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._counted import counted
from fallline._data import default_batch_size, default_epochs
from fallline._errors import RefusedError, UsageError
from fallline.doors._asked import Asked
from fallline.doors._columns import Column, column_of
from fallline.doors._named import check_column, listed, target_names
from fallline.doors._opened import opened_problem
from fallline.doors._prepare import DAY, Floats, moments, numbers
from fallline.doors._prepare_series import bridged, on_steps, parts_of_series, window_starts
from fallline.doors._reading import frame_of, reading_of
from fallline.doors._rows import divide, time_order
from fallline.doors._task import check_metric
from fallline.doors.models.dlinear import DLinear
from fallline.metrics import resolve

if TYPE_CHECKING:
    import polars as pl

    from fallline._problem import Problem

HORIZONS = 3  # times the horizon that a window looks back: on ETTh1 the published linear models see 3.5 times their 96 steps
SEASONS = 2  # seasons that a window sees at least: one alone cannot be told from noise
FEWEST_LOOKBACK = 8  # steps
SHARE = 5  # a window looks back over a fifth of the series at most, or too few windows are left to learn from
FEWEST_WINDOWS = 20  # beside the gaps: below that no split is left
BRIDGED = 10  # a gap of a tenth of the window is filled by a straight line; a longer one is in no window
MISSING = 0.25  # share of steps without a row from which rows count as steps instead: weekends are 0.29, holes in a record fewer
REGULAR = 0.95  # of the rows must lie on a step, within a tenth of one
UPDATES = 400  # at least; a short series has few batches a pass, and 40 passes would leave a linear model half trained


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
        check_metric(asked.metric, "regression")
    horizon = _horizon(asked)
    reading, notes = reading_of(path)
    frame = frame_of(path, reading)
    if asked.time is None:
        raise UsageError(f"a series is read in the order of a column; name it with --time; the table has {listed(frame.columns)}")
    names = _series(frame, asked, reading["decimal"], notes)
    seen = _covariates(frame, asked, names, reading["decimal"], notes)
    spec = _steps(path, frame, asked.time, [*names, *seen], reading["decimal"], notes) | {"series": names, "covariates": seen}
    values = on_steps(frame, spec)
    lookback = _lookback(asked, horizon, len(values), spec, notes)
    spec |= {"lookback": lookback, "horizon": horizon, "bridged": max(lookback // BRIDGED, 1)}
    inputs = bridged(values, spec["bridged"])
    starts = window_starts(values[:, : len(names)], inputs, lookback, horizon)
    _told_gaps(values, inputs, spec, notes)
    if len(starts) - 2 * horizon < FEWEST_WINDOWS:
        raise UsageError(
            f"horizon {horizon} is too long for this series of {counted(len(values), 'step')}: with a lookback of {lookback} it gives "
            f"{counted(len(starts), 'window')}, two gaps of {horizon} fall away, and {FEWEST_WINDOWS} are needed; shorten --horizon"
        )
    everything = np.ones(len(starts), dtype=np.bool_)
    division = divide(
        everything, seed=asked.seed, labels=None, groups=None, order=starts.astype(np.float64), official=None, gap=max(horizon - 1, 1)
    )
    notes += division.notes
    train = division.rows("train")
    known = values[: starts[train[-1]] + lookback + horizon]
    scale = _scale(known[:, : len(names)], names)
    if seen:
        spec["covariate_scale"] = _moments(known[:, len(names) :], seen)
    preparation: dict[str, Any] = {
        "format": 1,
        "reading": reading,
        "series": spec,
        "target": {"names": names, "task": "regression", "scale": scale},
        "split": division.packed(),
        "model": {
            "name": DLinear.__name__,
            "arguments": {"lookback": lookback, "horizon": horizon, "series": len(names), "covariates": len(seen)},
        },
    }
    return opened_problem(
        path,
        asked,
        kind="series",
        parts=parts_of_series(path, preparation),
        model=DLinear,
        preparation=preparation,
        task="regression",
        division=division,
        notes=notes,
        epochs=_epochs(len(train), asked, notes),
    )


def _horizon(asked: Asked) -> int:
    for name, value in (("horizon", asked.horizon), ("lookback", asked.lookback)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UsageError(f"{name} must be a whole number of steps, at least 1, got {value!r}")
    if asked.task not in (None, "regression"):
        raise UsageError(f"a forecast is a regression, got task {asked.task!r}; leave task out")
    if asked.horizon is None:
        raise UsageError("how many steps are to be forecast? Say it with --horizon")
    return asked.horizon


def _series(frame: pl.DataFrame, asked: Asked, decimal: str, notes: list[str]) -> list[str]:
    """The columns to forecast: as named, else all that hold numbers."""
    others = [name for name in frame.columns if name != asked.time]
    kinds = {name: column_of(frame[name], decimal) for name in others}
    names = target_names(asked.target, frame.columns) if asked.target else [name for name in others if kinds[name].kind == "number"]
    check_column(asked.time, "time", frame.columns, names)
    if not names:
        raise RefusedError(f"the table has no column of numbers to forecast, but {listed(others)}; name one with --target")
    for name in names:
        if kinds[name].kind != "number":
            raise RefusedError(f"column {name!r} holds no numbers, so it cannot be forecast; name another with --target")
    return names


def _covariates(frame: pl.DataFrame, asked: Asked, names: list[str], decimal: str, notes: list[str]) -> list[str]:
    """The columns that a window sees besides: those that were named; says which are forecast, seen, and not read."""
    others = [name for name in frame.columns if name not in (asked.time, *names)]
    if asked.covariates == "all" and "all" not in frame.columns:
        seen = [name for name in others if column_of(frame[name], decimal).kind == "number"]
    else:
        seen = target_names(asked.covariates, frame.columns) if asked.covariates else []
    for name in seen:
        if name == asked.time or name in names:
            raise UsageError(f"column {name!r} is {'the time' if name == asked.time else 'forecast'}, so it is no covariate; name others")
        if column_of(frame[name], decimal).kind != "number":
            raise RefusedError(f"covariate {name!r} holds no numbers; write it as numbers, or leave it out")
    unread = [name for name in others if name not in seen]
    said = f"forecast: {listed(names)}" + (f"; seen besides, up to the forecast: {listed(seen)}" if seen else "")
    notes.append(said + (f"; not read: {listed(unread)}" if unread else ""))
    if unread and not seen and any(column_of(frame[name], decimal).kind == "number" for name in unread):
        notes.append("a forecast sees the columns that it forecasts; say --covariates to have others seen too")
    return seen


def _steps(path: Path, frame: pl.DataFrame, time: str, names: list[str], decimal: str, notes: list[str]) -> dict[str, Any]:
    """How rows lie on steps of even length; refuses times that go back, and one time with two values."""
    what = column_of(frame[time], decimal)
    order = time_order(frame[time], what, decimal)
    if np.isnan(order).any():
        row = int(np.flatnonzero(np.isnan(order))[0])
        raise RefusedError(f"{path}: column {time!r} holds no time in row {row + 1:,} below the header; fill it or drop the row")
    back = np.flatnonzero(np.diff(order) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise RefusedError(
            f"{path}: times go back in row {row + 1:,} below the header ({frame[time][row]} after {frame[time][row - 1]}); sort the file "
            f"by {time!r}, and give each series a column of its own where several stand below each other"
        )
    _check_repeats(path, frame, time, names, order, decimal, notes)
    spec = {"time": time, "series": names, "decimal": decimal, "form": what.form, "unit": "rows", "step": 1.0, "season": 0}
    times = np.unique(order)
    if len(times) < 3:
        raise RefusedError(f"{path}: a series needs at least 3 different times, column {time!r} has {len(times)}")
    unit, at, step = _unit(frame[time], what, times)
    place = (at - at[0]) / step
    on_a_step = np.abs(place - np.rint(place)) < 0.1
    missing = 1 - len(np.unique(np.rint(place))) / (place[-1] + 1)
    if on_a_step.mean() >= REGULAR and missing <= MISSING:
        spec |= {"unit": unit, "step": step, "season": _season(unit, step)}
        return spec
    if len(times) < len(order):
        raise RefusedError(f"{path}: column {time!r} has uneven and repeated times; keep one row a time")
    why = f"{missing:.0%} of the steps have no row" if on_a_step.mean() >= REGULAR else "the times are not evenly spaced"
    notes.append(f"steps: {why}, so each row counts as one step")
    return spec


def _unit(column: pl.Series, what: Column, times: Floats) -> tuple[str, Floats, float]:
    """The unit of a step, the different times in it, and how many units a step has."""
    step = float(np.median(np.diff(times)))
    if what.kind == "number":
        return "numbers", times, step
    if step < 27 * DAY:
        return "seconds", times, step
    read = moments(column, what.form).unique().sort()  # months differ in length, so they are counted
    months = (read.dt.year().cast(int) * 12 + read.dt.month().cast(int)).to_numpy().astype(np.float64)
    return "months", months, float(np.median(np.diff(months)))


def _season(unit: str, step: float) -> int:
    """Steps of the season that such steps usually have: the day, the week of days, the year of weeks or months; 0 where there is none."""
    if unit == "months":
        return round(12 / step) if step < 12 else 0
    if unit != "seconds":
        return 0
    if step <= DAY / 2:
        return round(DAY / step)
    return 7 if step < 2 * DAY else round(365.25 * DAY / step)


def _check_repeats(path: Path, frame: pl.DataFrame, time: str, names: list[str], order: Floats, decimal: str, notes: list[str]) -> None:
    """Rows of one time may repeat a value; with two values there are several series in the file, or an error."""
    again = np.flatnonzero(np.diff(order) == 0)
    if not len(again):
        return
    for name in names:
        values = numbers(frame[name], decimal)
        one, other = values[again], values[again + 1]
        differ = np.flatnonzero((one != other) & ~np.isnan(one) & ~np.isnan(other))
        if len(differ):
            row = int(again[differ[0]])
            raise RefusedError(
                f"{path}: {name} has two values at {frame[time][row]} ({one[differ[0]]:g} and {other[differ[0]]:g}); give each series a "
                f"column of its own, or one row a time"
            )
    notes.append(f"{counted(len(again), 'row')} repeat the time and the values of the row before and count once")


def _lookback(asked: Asked, horizon: int, steps: int, spec: dict[str, Any], notes: list[str]) -> int:
    if asked.lookback is not None:
        lookback, why = asked.lookback, "as given"
    else:
        wanted = max(HORIZONS * horizon, SEASONS * spec["season"], FEWEST_LOOKBACK)
        lookback = max(min(wanted, steps // SHARE), 2)
        season = f" or {SEASONS} seasons of {spec['season']}" if spec["season"] else ""
        why = f"{HORIZONS} horizons{season}" if lookback == wanted else f"a fifth of the {counted(steps, 'step')}"
    notes.append(f"a window looks back {counted(lookback, 'step')} ({why}) and forecasts {horizon}; say --lookback to change it")
    if lookback + horizon > steps:
        raise UsageError(
            f"a horizon of {horizon} and a lookback of {lookback} are longer than the series of {counted(steps, 'step')}; shorten them"
        )
    return lookback


def _told_gaps(values: Floats, inputs: Floats, spec: dict[str, Any], notes: list[str]) -> None:
    missing, left = int(np.isnan(values).any(axis=1).sum()), int(np.isnan(inputs).any(axis=1).sum())
    if not missing:
        return
    said = f"{missing:,} of {len(values):,} steps have no value; no forecast is judged there. As inputs"
    said += f" {missing - left:,} in gaps of at most {spec['bridged']} are filled by a straight line"
    notes.append(said + (f", windows that meet the {left:,} others are left out" if left else ""))


def _scale(values: Floats, names: list[str]) -> list[Any]:
    """Mean and deviation of each series over the steps that train sees."""
    location, spread = _moments(values, names)
    return [location[0], spread[0]] if len(names) == 1 else [location, spread]


def _moments(values: Floats, names: list[str]) -> list[list[float]]:
    location, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    for name, deviation in zip(names, spread, strict=True):
        if not (np.isfinite(deviation) and deviation > 0):
            raise RefusedError(f"{name} has one value only in the training part, so there is nothing to learn; name other series")
    return [location.tolist(), spread.tolist()]


def _epochs(windows: int, asked: Asked, notes: list[str]) -> float | None:
    """Passes for a short series, which the usual rule would leave with few updates; None: the usual rule."""
    size = default_batch_size(windows) if asked.batch_size is None else asked.batch_size
    batches = max(windows // max(size, 1), 1)
    if asked.epochs is not None or default_epochs(windows, size, "mlp") * batches >= UPDATES:
        return None
    passes = float(math.ceil(UPDATES / batches))
    notes.append(f"{counted(passes, 'pass')}, as {counted(windows, 'window')} give few updates a pass; say epochs to change it")
    return passes
