"""A second set of programs, faulty and healthy, in other architectures, data and optimizers than the thirty cases and the rules' own.

They were written before any rule was tried on them; README.md says how many were told apart at first contact, and how many are now.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import fallline


@dataclass(frozen=True)
class Program:
    """One set-up. `faults`: ids of which the first finding must name one; empty for a healthy set-up."""

    name: str
    make: Callable[[], fallline.Problem]
    faults: tuple[str, ...] = ()


_found: list[Program] = []
Make = Callable[[], fallline.Problem]


def faulty(*faults: str) -> Callable[[Make], Make]:
    """Enter a function that makes a problem with a fault; its docstring says what is wrong."""

    def enter(make: Make) -> Make:
        _found.append(Program(make.__name__, make, faults))
        return make

    return enter


def healthy(make: Make) -> Make:
    """Enter a function that makes a right problem; its docstring says what it resembles."""
    _found.append(Program(make.__name__, make))
    return make


def programs() -> list[Program]:
    """All of them, file by file."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        importlib.import_module(f"{__name__}.{found.name}")
    return list(_found)
