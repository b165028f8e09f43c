"""Changes: what of a set-up can be made otherwise from outside, without a line of the user's files; one part of the set-up a file.

A rule's finding carries the changes that would mend its fault. Each makes another problem of a problem, and so changes can be made one
after another; the problem that is given stays as it is. Functions here build changes and import torch only when one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fallline._problem import Problem


@dataclass(frozen=True, kw_only=True)
class Change:
    """One remedy that can be made from outside, and so be tried."""

    words: str  # what is done
    source: str  # what the user writes to have it for good
    make: Callable[[Problem], Problem] = field(repr=False, compare=False)
    arguments: Mapping[str, Any] = field(default_factory=dict)  # of Problem, where it is nothing but these
    repeats: bool = False  # it does more when it is made again
    beyond_valid: bool = False  # valid cannot judge it: valid itself is at fault, or the change chooses by it

    def document(self) -> dict[str, Any]:
        """What is said of it, as plain JSON."""
        return {"change": self.words, "source": self.source, "arguments": dict(self.arguments)}


def arguments(words: str, **changes: Any) -> Change:
    """Other arguments of the problem; `words` say it in plain English."""
    shown = ", ".join(f"{name}={value!r}" for name, value in changes.items())
    return Change(words=words, source=f"Problem({shown})", make=lambda problem: replace(problem, **changes), arguments=changes)
