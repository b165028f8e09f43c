"""How a table in the order of time becomes windows to forecast from: the same code in the door and in exported scripts."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from fallline.doors._prepare import Floats, in_parts, moments, numbers, read_frame, seconds

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def positions(column: pl.Series, spec: dict[str, Any]) -> NDArray[np.int64]:
    """The step of each row, counted from the first: by the clock, by months, by a number, or row by row."""
    if spec["unit"] == "rows":
        return np.arange(len(column))
    if spec["unit"] == "numbers":
        at = numbers(column, spec["decimal"])
    else:
        times = moments(column, spec["form"])
        months = (times.dt.year().cast(int) * 12 + times.dt.month().cast(int)).to_numpy().astype(np.float64)
        at = months if spec["unit"] == "months" else seconds(times)
    steps: NDArray[np.int64] = np.rint((at - at[0]) / spec["step"]).astype(np.int64)
    return steps


def on_steps(frame: pl.DataFrame, spec: dict[str, Any]) -> Floats:
    """Series and covariates as (steps, columns); NaN at steps that no row has a value for. Of rows with one time the last value counts."""
    at, names = positions(frame[spec["time"]], spec), [*spec["series"], *spec.get("covariates", [])]
    values = np.full((int(at[-1]) + 1, len(names)), np.nan)
    for number, name in enumerate(names):
        found = numbers(frame[name], spec["decimal"])
        there = ~np.isnan(found)
        values[at[there], number] = found[there]
    return values


def bridged(values: Floats, longest: int) -> Floats:
    """Gaps of at most so many steps filled by a straight line; longer ones stay."""
    made = values.copy()
    for column in made.T:
        known = np.flatnonzero(~np.isnan(column))
        for left, right in itertools.pairwise(known):
            if 1 < right - left <= longest + 1:
                column[left : right + 1] = np.linspace(column[left], column[right], right - left + 1)
    return made


def window_starts(values: Floats, inputs: Floats, lookback: int, horizon: int) -> NDArray[np.int64]:
    """The first steps of all windows whose inputs are known or bridged, and whose targets were measured."""
    unseen = np.concatenate([[0], np.isnan(inputs).any(axis=1).cumsum()])
    unmeasured = np.concatenate([[0], np.isnan(values).any(axis=1).cumsum()])
    starts = np.arange(len(values) - lookback - horizon + 1)
    middle, end = starts + lookback, starts + lookback + horizon
    return np.flatnonzero((unseen[middle] == unseen[starts]) & (unmeasured[end] == unmeasured[middle]))


def parts_of_series(path: Any, preparation: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Train, valid and audit: windows (windows, lookback, columns), series before covariates, and what follows them of the series,
    (windows, horizon) or (windows, horizon, series)."""
    spec, reading = preparation["series"], preparation["reading"]
    values = on_steps(read_frame(path, reading), spec)
    inputs = bridged(values, spec["bridged"])
    series = len(spec["series"])
    starts = window_starts(values[:, :series], inputs, spec["lookback"], spec["horizon"])
    scales = [preparation["target"]["scale"], *([spec["covariate_scale"]] if spec.get("covariates") else [])]
    location, spread = (np.concatenate([np.atleast_1d(scale[part]) for scale in scales]) for part in (0, 1))
    inputs = ((inputs - location) / spread).astype(np.float32)
    values = ((values - location) / spread).astype(np.float32)[:, :series]
    first = starts[:, None]
    ahead = values[first + spec["lookback"] + np.arange(spec["horizon"])]
    ahead = ahead[:, :, 0] if ahead.shape[2] == 1 else ahead
    return in_parts(torch.from_numpy(inputs[first + np.arange(spec["lookback"])]), torch.from_numpy(ahead), preparation)
