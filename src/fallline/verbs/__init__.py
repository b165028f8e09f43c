"""Verbs: the commands of `fallline`. One verb a file (`ENTRY = Verb(...)`); the command line finds them by themselves.

`run` is a function whose signature typer reads as flags and whose docstring is the help. It does what a line of Python could do, and
prints: results on stdout, all else on stderr. It returns nothing, or an exit code; what cannot be done it raises as a
`FalllineError`, whose message and exit code the command line passes on. A verb imports torch and what loads it only inside its function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fallline._discover import discover


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One command."""

    name: str
    run: Callable[..., int | None]
    place: int  # in the list of `fallline --help`
    example: str  # a whole command line


def verbs() -> list[Verb]:
    """All verbs, in the order of the help."""
    return sorted(discover("fallline.verbs", Verb).values(), key=lambda verb: (verb.place, verb.name))
