"""Reports: what is said about a run. One report a file (`ENTRY = Report(...)`); a report reads a run's folder and nothing else.

`write(folder, out)` writes the report of the finished run in `folder` to the text stream `out`. It takes all numbers from
`verdict.json`, so that every report says the same, and computes none of its own. A report imports nothing heavy: looking at a run that is
over must not wait for torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fallline._discover import discover
from fallline._errors import unknown


@dataclass(frozen=True, kw_only=True)
class Report:
    """One way of telling what a run gave."""

    name: str  # as --output-format spells it
    title: str
    write: Callable[[Path, TextIO], None]


def reports() -> dict[str, Report]:
    return discover("fallline.reports", Report)


def named(name: str) -> Report:
    """The report called `name`; unknown names are refused with the nearest."""
    known = reports()
    if name not in known:
        raise unknown("report", name, known)
    return known[name]
