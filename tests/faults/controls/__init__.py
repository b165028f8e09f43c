"""Healthy controls: set-ups that resemble a fault in form and are right. Each trains well, and a diagnosis must stay silent on it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import fallline


@dataclass(frozen=True)
class Control:
    """A right set-up, the fault that it looks like, and the metric that its training reaches."""

    name: str
    make: Callable[[], fallline.Problem]
    resembles: str  # id of the fault
    reaches: float  # at least this where higher is better, at most this where lower is


_found: list[Control] = []


def control(resembles: str, *, reaches: float) -> Callable[[Callable[[], fallline.Problem]], Callable[[], fallline.Problem]]:
    """Enter a function that makes a problem; its docstring says why the set-up is right."""

    def enter(make: Callable[[], fallline.Problem]) -> Callable[[], fallline.Problem]:
        _found.append(Control(make.__name__, make, resembles, reaches))
        return make

    return enter


def controls() -> list[Control]:
    """All look-alikes, file by file."""
    for found in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        importlib.import_module(f"{__name__}.{found.name}")
    return list(_found)
