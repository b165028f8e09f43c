"""Doors: ways in from a file to a Problem. One door a file (`ENTRY = Door(...)`); `open_problem` picks it by the file's name.

A door reads its file, splits the rows, fits what it fits on train alone, and returns a `Problem` whose `Origin` says all that was done,
as plain JSON. It takes `seed`, and as keywords what a user may say about such a file; the reader of the command line passes on what was
given. A door imports torch and polars only inside functions, so that asking which doors there are costs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline._discover import discover
from fallline._errors import UsageError, nearest

if TYPE_CHECKING:
    from fallline._problem import Problem


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way in: which files it opens, by the end of their name, and the function `(path, *, seed, ...) -> Problem`."""

    name: str
    title: str  # what such a file is, as it is said to users: "a table"
    suffixes: tuple[str, ...]  # in lower case, with the dot
    open: Callable[..., Problem]

    def options(self) -> tuple[str, ...]:
        """What a user may say about such a file."""
        return tuple(
            name for name, given in inspect.signature(self.open).parameters.items() if given.kind is inspect.Parameter.KEYWORD_ONLY
        )


def doors() -> dict[str, Door]:
    return discover("fallline.doors", Door)


def open_problem(source: str | Path, *, seed: int = 0, **options: Any) -> Problem:
    """The problem in a file; options that are None count as not given.

    Raises:
        UsageError: no such file, no door for it, or an option that its door does not take. RefusedError: the data cannot be used.
    """
    path = Path(source).expanduser()
    door = _door_for(path)
    _check_there(path)
    given = {name: value for name, value in options.items() if value is not None}
    taken = door.options()
    for name in given:
        if name not in taken:
            known = [option for option in taken if option != "seed"]
            close = nearest(name, known)
            advice = f"did you mean {' or '.join(close)}?" if close else f"it takes {', '.join(known)}"
            raise UsageError(f"{path.name} is {door.title}, for which {name!r} means nothing; {advice}")
    return door.open(path, seed=seed, **given)


def _door_for(path: Path) -> Door:
    name = path.name.lower()
    for door in doors().values():
        if name.endswith(door.suffixes):
            return door
    kinds = "; ".join(f"{door.title} ({', '.join(door.suffixes)})" for door in doors().values())
    came = f"the folder {path}" if path.is_dir() else f"{str(path)!r}"
    raise UsageError(f"no door opens {came}; there are doors for {kinds}")


def _check_there(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name the file in it")
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"no file {path}: there is no folder {folder}; check the path, it counts from {Path.cwd()}")
    beside = [entry.name for entry in folder.iterdir() if entry.is_file()]
    opened = [name for name in beside if name.lower().endswith(tuple(suffix for door in doors().values() for suffix in door.suffixes))]
    close = nearest(path.name, beside) or sorted(opened)[:5]  # five names fit into one line
    advice = f"in that folder there is {', '.join(close)}" if close else f"the folder {folder.resolve()} has no file that a door opens"
    raise UsageError(f"no file {path}; {advice}")
