"""The journal: one JSON line an event, appended and flushed to disk; a torn last line is ignored when it is read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file so that a reader, or a crash, finds either the old one or the new one: temporary file, fsync, rename."""
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def write_text(path: Path, text: str) -> None:
    write_whole(path, lambda file: (file.write(text.encode("utf-8")), None)[1])


class Journal:
    """Appends events to `journal.jsonl`. Only the process that runs the race writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_torn_line(path)
        path.touch()

    def write(self, event: str, **facts: Any) -> None:
        """Append one event and wait until it is on disk. Numbers that are not finite become null with a word beside them."""
        line = json.dumps({"event": event, "at": round(time.time(), 3), **_plain(facts)}, ensure_ascii=False, allow_nan=False)
        with open(self.path, "ab") as file:  # opened for each of the few dozen events of a race: nothing to close when it is killed
            file.write(line.encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a journal in order; stops at the first line that is not whole."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                yield json.loads(line)
            except ValueError:
                return


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        with open(path, "r+b") as file:
            file.truncate(whole)


def _plain(value: Any) -> Any:
    """Containers that JSON can hold: NaN and infinities as strings, tuples as lists, paths as text."""
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)
