"""Signals: what is measured on a set-up. One signal a file (`ENTRY = Signal(...)`); each says what it costs. Signals measure, rules judge.

`measure(window)` gives a record of its own type. It trains, changes and draws on copies only, and raises `Unavailable` where it cannot be
measured, with the reason. A window measures a signal when it is first asked for it, once.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fallline._discover import discover

if TYPE_CHECKING:
    from fallline.signals._setup import Setup

COSTS = ("free", "passes", "steps")  # reads objects or data; some forward and backward passes; trains a copy

Record = TypeVar("Record")


class Unavailable(Exception):
    """A signal cannot be measured on this set-up; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Signal(Generic[Record]):
    """One measurement."""

    name: str
    title: str
    cost: str  # of COSTS
    measure: Callable[[Window], Record]


class Window:
    """What rules look through: the signals of one set-up, each measured when it is first read."""

    def __init__(self, setup: Setup, known: dict[str, Any] | None = None) -> None:
        self.setup = setup
        self._measured: dict[str, Any] = dict(known or {})

    def read(self, signal: Signal[Record]) -> Record:
        """The signal's record.

        Raises:
            Unavailable: it cannot be measured here; the same each time.
        """
        if signal.name not in self._measured:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the user's code may warn of what the rules look for
                    self._measured[signal.name] = signal.measure(self)
            except Unavailable as missing:
                self._measured[signal.name] = missing
        found = self._measured[signal.name]
        if isinstance(found, Unavailable):
            raise found
        return found  # type: ignore[no-any-return]  # kept under the signal's own name


def signals() -> dict[str, Signal[Any]]:
    return discover("fallline.signals", Signal)
