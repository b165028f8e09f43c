"""The flags that verbs share, each with its help, in the panels in which `--help` shows them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

DATA = "The data"
RACE = "The race"
FIXED = "What you fix: every candidate keeps it, the baseline apart"
OUTPUT = "Output"


class OutputFormat(StrEnum):
    """How results are printed on stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def race(name: str, text: str, metavar: str | None = None, least: int | None = None) -> Any:
    """A flag of the race; a whole number may have a least value."""
    return typer.Option(name, help=text, rich_help_panel=RACE, metavar=metavar, min=least)


def fixed(name: str, text: str, metavar: str | None = None) -> Any:
    """A flag that fixes a choice."""
    return typer.Option(name, help=text, rich_help_panel=FIXED, metavar=metavar)


def _data(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=text, rich_help_panel=DATA, metavar=metavar)


def _output(*names: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=OUTPUT, metavar=metavar)


SOURCE = (
    "A table, of texts or a series too (CSV, TSV, either gzipped, or Parquet); images, masks or sequences (.npz); a folder of images; "
    "running text (.txt); or a Python file with a function problem()."
)

Source = Annotated[str, typer.Argument(metavar="SOURCE", help=SOURCE, show_default=False)]
Target = Annotated[str | None, _data("--target", "The column to predict; several with commas between them.", "COLUMN")]
MetricName = Annotated[str | None, _data("--metric", "What decides: see fallline metrics. Default: the task's usual one.", "NAME")]
Direction = Annotated[str | None, _data("--direction", "min or max, where the metric does not say.")]
Task = Annotated[str | None, _data("--task", "regression, count, binary, multiclass, ordinal, ... Default: inferred from the target.")]
Time = Annotated[str | None, _data("--time", "A column that orders the rows: the latest decide and report.", "COLUMN")]
Text = Annotated[str | None, _data("--text", "The column of texts. Default: the only one beside the target.", "COLUMN")]
Horizon = Annotated[int | None, _data("--horizon", "Steps to forecast: the table is a series in the order of --time.", "STEPS")]
Lookback = Annotated[int | None, _data("--lookback", "Steps that a forecast sees. Default: by horizon and season.", "STEPS")]
Covariates = Annotated[str | None, _data("--covariates", "Columns that a forecast sees too, with commas; all: all numbers.", "COLUMN")]
Group = Annotated[str | None, _data("--group", "A column whose equal values stay on one side of every split.", "COLUMN")]
Positive = Annotated[str | None, _data("--positive", "The positive class of a binary target.", "LABEL")]
Epochs = Annotated[float | None, _data("--epochs", "Passes over the data in one full training. Default: by the number of rows.")]
BatchSize = Annotated[int | None, _data("--batch-size", "Examples a step. Default: by the number of rows.")]
Device = Annotated[str | None, race("--device", "cpu or cuda. Default: cuda where there is one.")]
Out = Annotated[str | None, _output("--out", text="The run's folder, new or empty. Default: a new one in runs/.", metavar="FOLDER")]
Format = Annotated[OutputFormat, _output("--output-format", text="What is printed on stdout.")]
Quiet = Annotated[bool, _output("--quiet", "-q", text="No progress on stderr.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name in runs/.", show_default=False)]
