"""The flags that several verbs share, each with its help."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

import typer

DATA = "The data"
RACE = "The race"
FIXED = "What you fix (every candidate keeps it, the baseline apart)"
OUTPUT = "Output"


class OutputFormat(str, Enum):
    """How results are printed on stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


def _data(*names: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=DATA, metavar=metavar)


Source = Annotated[
    str, typer.Argument(help="A table (CSV, CSV.GZ, TSV, Parquet) or a Python file with a function problem().", show_default=False)
]
Target = Annotated[str | None, _data("--target", text="The column to predict; several with commas between them.")]
MetricName = Annotated[str | None, _data("--metric", text="What decides; see fallline metrics. Default: the usual one of the task.")]
Direction = Annotated[str | None, _data("--direction", text="min or max, where the metric does not say.")]
Task = Annotated[
    str | None, _data("--task", text="regression, count, binary, multiclass, multilabel or sequence. Default: seen from the target.")
]
Time = Annotated[str | None, _data("--time", text="The column of time: the last rows are held out.", metavar="COLUMN")]
Group = Annotated[str | None, _data("--group", text="Rows of one group stay on one side of every split.", metavar="COLUMN")]
Positive = Annotated[str | None, _data("--positive", text="The positive class of a binary target.", metavar="LABEL")]
Epochs = Annotated[float | None, _data("--epochs", text="Passes over the data of one full training. Default: by the number of rows.")]
BatchSize = Annotated[int | None, _data("--batch-size", text="Examples a step. Default: by the number of rows.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda. Default: cuda where there is one.", rich_help_panel=RACE)]
Out = Annotated[
    str | None,
    typer.Option("--out", help="The run's folder, new or empty. Default: runs/ and the time.", rich_help_panel=OUTPUT, metavar="FOLDER"),
]
Format = Annotated[OutputFormat, typer.Option("--output-format", help="What stdout gets.", rich_help_panel=OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.", rich_help_panel=OUTPUT)]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name in runs/.", show_default=False)]
