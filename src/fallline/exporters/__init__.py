"""Exporters: ways out of a run's folder into other tools. One exporter a file (`ENTRY = Exporter(...)`), which reads the folder only.

`write(folder, out)` writes the export of the run in `folder` and returns its path; `out` is a file, a folder, or None for the run's own
folder. What cannot be exported is refused with a message that says why, before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fallline._discover import discover
from fallline._errors import unknown
from fallline._run import find


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """One way out."""

    name: str  # as --to spells it
    title: str
    write: Callable[[Path, Path | None], Path]


def exporters() -> dict[str, Exporter]:
    return discover("fallline.exporters", Exporter)


def export(run: str | Path, to: str = "script", out: str | Path | None = None) -> Path:
    """Export the run in a folder (or with an id); the path of what was written is given back.

    Raises:
        UsageError: no such run or exporter, or a run that is not over. RefusedError: what the run holds cannot be exported.
    """
    known = exporters()
    if to not in known:
        raise unknown("export", to, known)
    return known[to].write(find(run), None if out is None else Path(out))
