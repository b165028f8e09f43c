"""`fallline runs`: the runs in this folder."""

from __future__ import annotations

from typing import Any

from fallline._budget import spoken
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._listing import show

DAY_S = 86_400


def runs(output_format: flags.Format = flags.OutputFormat.TABLE) -> None:
    """List the runs in ./runs, the newest first: what each was about, how far it came, and its verdict."""
    from fallline._run import all_runs
    from fallline.reports._folder import summary

    rows = sorted((summary(folder) for folder in all_runs()), key=lambda row: -row["last_event_at"])
    show(
        "runs",
        rows,
        {"run": _name, "problem": _text("problem"), "metric": _text("metric"), "status": _text("status"), "verdict": _verdict, "age": _age},
        output_format,
    )


def _name(row: dict[str, Any]) -> str:
    return str(row["run"]).rpartition("/")[2]


def _text(key: str) -> Any:
    return lambda row: str(row[key] or "-")


def _verdict(row: dict[str, Any]) -> str:
    from fallline.reports._words import number

    if row["value"] is None:
        return "-"
    against = f" against {number(row['baseline'])}" if row["baseline"] is not None else ""
    return f"{row['verdict'] or 'one training'}: {number(row['value'])}{against}"


def _age(row: dict[str, Any]) -> str:
    seconds = row["age_s"]
    return f"{seconds / DAY_S:.0f} days" if seconds > 2 * DAY_S else spoken(seconds)


ENTRY = Verb(name="runs", run=runs, place=40, example="fallline runs --output-format json")
