"""Finds the entries of an extension folder: every module that defines the record, in our tree or by entry point."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import TypeVar

from fallline._errors import UsageError

Record = TypeVar("Record")


@cache
def _records(package: str, attribute: str) -> dict[str, object]:
    found: dict[str, object] = {}
    folder = importlib.import_module(package)
    modules = [f"{package}.{info.name}" for info in pkgutil.iter_modules(folder.__path__) if not info.name.startswith("_")]
    records = [(name, getattr(importlib.import_module(name), attribute, None)) for name in sorted(modules)]
    # entry-point groups carry the package's dotted name: "fallline.catalogue.losses"
    records += [(point.value, point.load()) for point in entry_points(group=package)]
    for origin, record in records:
        if record is None:
            continue
        name = getattr(record, "name", None)
        if not isinstance(name, str):
            raise UsageError(f"{origin}: expected a record with a name, got {type(record).__name__}; see the contract in {package}")
        if name in found:
            raise UsageError(f"{origin}: the name {name!r} is already taken in {package}; rename the entry")
        found[name] = record
    return found


def discover(package: str, kind: type[Record], attribute: str = "ENTRY") -> dict[str, Record]:
    """All records of class `kind` in `package`, by name; modules without the attribute are passed over."""
    return {name: record for name, record in _records(package, attribute).items() if isinstance(record, kind)}
