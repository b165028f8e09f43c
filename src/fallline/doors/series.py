"""Door for series: a table in the order of time with a horizon to forecast, into a Problem with DLinear."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.doors import Asked, Door
from fallline.doors.table import SUFFIXES

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_series(path: Path, asked: Asked) -> Problem:
    """A table of one or several series as a problem: windows in the order of time, standardised by train alone, and `DLinear`.

    Args:
        path: the file; a line of column names, then rows from the earliest to the latest.

    Asked:
        time: the column that orders them, dates or numbers. Steps are as long as most of its differences; where rows are missing, no
            forecast is judged, and short gaps in what a window sees are filled by a straight line.
        horizon: steps to forecast.
        lookback: steps that a window sees. Left out: three horizons or two seasons (the day, the week of days, the year of weeks or
            months), whichever is longer, but at most a fifth of the series.
        target: the series to forecast, several separated by commas. Left out, all columns of numbers.
        covariates: columns of numbers that a window sees and that are not forecast, several separated by commas, "all" for all. They are
            known up to the time of the forecast, not beyond it. Left out, none: a column that only adds noise costs accuracy.
        metric, direction, epochs, batch_size: as in `Problem`; errors are in the units of the file, over all steps and series.
        task: regression, if anything.
        seed: of the training; the split follows the time.

    The latest windows report, those before them decide. Between parts so many windows are left out that no target lies in two of them.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._series import opened  # loads torch and polars, which asking for doors must not

    return opened(path, asked)


def _claims(path: Path, given: Mapping[str, Any]) -> bool:
    return "horizon" in given


ENTRY = Door(
    name="series",
    title="a series",
    suffixes=SUFFIXES,
    open=open_series,
    takes=("time", "horizon", "lookback", "target", "covariates"),
    claims=_claims,
    parts="fallline.doors._prepare_series:parts_of_series",
)
