"""Doors: ways in from a file to a Problem. One door a file (`ENTRY = Door(...)`); `open_problem` picks it by the file's name.

A door reads its file, splits the rows, fits what it fits on train alone, and returns a `Problem` whose `Origin` says all that was done, as
plain JSON. What a user said about the file comes as one `Asked`, and the door declares which of it means something there. Where several
doors open files of one name, those with `claims` are asked in turn, and one without takes the rest. A door imports torch and polars only
inside functions, so that asking which doors there are costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline._discover import discover
from fallline._errors import UsageError, nearest
from fallline.doors._asked import Asked as Asked

if TYPE_CHECKING:
    from fallline._problem import Problem

ALWAYS = ("metric", "direction", "task", "epochs", "batch_size", "seed")  # what may be said about every file


@dataclass(frozen=True, kw_only=True)
class Door:
    """One way in: which files it opens, by the end of their name, and the function that makes a problem of one."""

    name: str
    title: str  # what such a file is, as it is said to users: "a table"
    suffixes: tuple[str, ...]  # in lower case, with the dot; "/": a folder
    open: Callable[[Path, Asked], Problem]
    takes: tuple[str, ...] = ()  # what of `Asked` means something for such a file, beside ALWAYS
    claims: Callable[[Path, Mapping[str, Any]], bool] | None = None  # by contents and options; None: takes what no other door claims
    parts: str = ""  # "module:function" of (path, preparation) -> train, valid and audit; it stands alone, exporters copy it

    def options(self) -> tuple[str, ...]:
        """What a user may say about such a file."""
        return self.takes + ALWAYS

    def read(self, path: str | Path, **said: Any) -> Problem:
        """The problem in a file of this door; what is None counts as not said.

        Raises:
            UsageError: something was said that means nothing for such a file, or cannot be meant. RefusedError: the data cannot be used.
        """
        given = {name: value for name, value in said.items() if value is not None}
        for name in given:
            if name not in self.options():
                known = [option for option in self.options() if option != "seed"]
                close = nearest(name, known)
                advice = f"did you mean {' or '.join(close)}?" if close else f"it takes {', '.join(known)}"
                raise UsageError(f"{Path(path).name} is {self.title}, for which {name!r} means nothing; {advice}")
        return self.open(Path(path), Asked(**given))


def doors() -> dict[str, Door]:
    return discover("fallline.doors", Door)


def open_problem(source: str | Path, *, seed: int = 0, **options: Any) -> Problem:
    """The problem in a file; options that are None count as not given.

    Raises:
        UsageError: no such file, no door for it, or an option that its door does not take. RefusedError: the data cannot be used.
    """
    path = Path(source).expanduser()
    given = {name: value for name, value in options.items() if value is not None}
    return _door_for(path, given).read(path, seed=seed, **given)


def _door_for(path: Path, given: Mapping[str, Any]) -> Door:
    name = "/" if path.is_dir() else path.name.lower()
    fitting = [door for door in doors().values() if name.endswith(door.suffixes)]
    if not fitting:
        kinds: dict[str, list[str]] = {}
        for door in doors().values():
            kinds.setdefault("a folder" if door.suffixes == ("/",) else ", ".join(door.suffixes), []).append(door.title)
        listed = "; ".join(f"{' or '.join(titles)} ({suffixes})" for suffixes, titles in kinds.items())
        raise UsageError(f"no door opens {str(path)!r}; there are doors for {listed}")
    _check_there(path)
    claimed = [door for door in fitting if door.claims is not None and door.claims(path, given)]
    return next(iter(claimed), None) or next(door for door in fitting if door.claims is None)


def _check_there(path: Path) -> None:
    if path.exists():
        return
    folder = path.parent
    if not folder.is_dir():
        raise UsageError(f"no file {path}: there is no folder {folder}; check the path, it counts from {Path.cwd()}")
    beside = [entry.name for entry in folder.iterdir() if entry.is_file()]
    opened = [name for name in beside if name.lower().endswith(tuple(suffix for door in doors().values() for suffix in door.suffixes))]
    close = nearest(path.name, beside) or sorted(opened)[:5]  # five names fit into one line
    advice = f"in that folder there is {', '.join(close)}" if close else f"the folder {folder.resolve()} has no file that a door opens"
    raise UsageError(f"no file {path}; {advice}")
