"""The thirty cases of the fault catalogue: each file is one faulty program, the same program repaired, and what the repair is worth."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType


def cases() -> list[ModuleType]:
    """The case modules in order of their number: each has FAULT, HARM, `faulty()` and `healthy()`."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("v"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]
