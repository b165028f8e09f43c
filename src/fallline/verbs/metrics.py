"""`fallline metrics`: what can decide a race, and for which tasks."""

from __future__ import annotations

from typing import Annotated

import typer

from fallline._errors import unknown
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._listing import show


def metrics(
    task: Annotated[str | None, typer.Option("--task", help="Only those that fit this task.")] = None,
    output_format: flags.Format = flags.OutputFormat.TABLE,
) -> None:
    """List the metrics and the tasks that each fits; a * marks the usual one of a task."""
    from fallline.metrics import TASKS
    from fallline.metrics import metrics as all_metrics

    if task is not None and task not in TASKS:
        raise unknown("task", task, TASKS)
    rows = [
        {
            "name": metric.name,
            "title": metric.title,
            "direction": metric.direction,
            "tasks": list(metric.tasks),
            "default_for": list(metric.default_for),
            "aliases": list(metric.aliases),
        }
        for metric in all_metrics().values()
        if task is None or task in metric.tasks
    ]
    columns = {
        "metric": lambda row: row["name"],
        "title": lambda row: row["title"],
        "better": lambda row: "lower" if row["direction"] == "min" else "higher",
        "tasks": lambda row: ", ".join(f"{name}*" if name in row["default_for"] else name for name in row["tasks"]),
    }
    show("metrics", rows, columns, output_format)


ENTRY = Verb(name="metrics", run=metrics, place=80, example="fallline metrics --task binary")
