"""Door for tables: CSV, gzipped CSV, TSV and Parquet with a target column, into a Problem with a default model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def open_table(path: Path, asked: Asked) -> Problem:
    """A table as a problem: tensors of three parts, prepared on train alone, and `TabularNet`.

    Args:
        path: the file; a line of column names, then rows.

    Asked:
        target: the column to predict; several, separated by commas, are outputs of one regression, or labels where all are 0 and 1.
        metric, direction, epochs, batch_size: as in `Problem`; the metric decides where a target can mean two tasks.
        task: regression, count, binary, multiclass, ordinal (whole numbers in their order) or multilabel, where the target alone would
            say something else.
        group: a column whose equal values stay in one part (a person, a shop); it is no feature.
        time: a column that orders the rows: the latest decide and report; as a feature it only says season, weekday and hour.
        positive: the positive class of a binary target.
        seed: draws the split.

    A column called `split` that says train, valid (or dev, val) and test is taken as the official split; test reports.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._table import opened  # loads torch and polars, which asking for doors must not

    return opened(path, asked)


ENTRY = Door(
    name="table",
    title="a table",
    suffixes=SUFFIXES,
    open=open_table,
    takes=("target", "group", "time", "positive"),
    parts="fallline.doors._prepare:parts_of_file",
)
