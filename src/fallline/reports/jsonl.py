"""JSON lines: every event of the run's journal, in order, the verdict last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from fallline._journal import read
from fallline.reports import Report


def write(folder: Path, out: TextIO) -> None:
    for event in read(folder / "journal.jsonl"):
        out.write(json.dumps(event, ensure_ascii=False, allow_nan=False) + "\n")


ENTRY = Report(name="jsonl", title="the journal's events, one JSON object a line", write=write)
