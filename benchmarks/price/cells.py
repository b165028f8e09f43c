"""Results of a long program, a line each: killed at any time, it goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from records import whole_lines


class Cells:
    """A file of lines of JSON. `keys` say which of a cell's entries name it."""

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self.path, self.keys = path, keys
        lines = whole_lines(path)
        if path.exists() and path.read_text(encoding="utf-8") != "".join(lines):
            path.write_text("".join(lines), encoding="utf-8")  # else the next cell would be written behind what a kill cut short
        self.all: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def has(self, **named: Any) -> bool:
        return any(all(cell[key] == named[key] for key in self.keys) for cell in self.all)

    def add(self, cell: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(cell) + "\n")
        self.all.append(cell)
