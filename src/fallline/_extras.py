"""Extras: what a recipe may hold beside its four parts (average, lr_change, body_lr, cooldown), and how each is read and written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fallline._errors import UsageError


@dataclass(frozen=True)
class LrChange:
    """From step `at` on the peak lr is multiplied by `factor`: a child that left its parent there."""

    at: int
    factor: float


@dataclass(frozen=True)
class BodyLr:
    """The trained body has `factor` times the lr of the head; `head` names the modules, or parameters, that are not body."""

    factor: float
    head: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", tuple(self.head))
        if not 0 < self.factor < math.inf:
            raise UsageError(f"factor in body_lr must be positive, got {self.factor}; to keep a body as it is, freeze its parameters")
        if not self.head or not all(isinstance(name, str) and name for name in self.head):
            raise UsageError(f"head in body_lr must name one module or more, got {list(self.head)}; as model.named_modules() names them")


@dataclass(frozen=True)
class Cooldown:
    """From step `at` on lr falls linearly to zero over `steps` steps, whatever the schedule says: a training cut short."""

    at: int
    steps: int


@dataclass(frozen=True)
class Average:
    """The weights handed back are an exponential moving average with this decay a step."""

    decay: float


EXTRAS: Mapping[str, type[Any]] = {"average": Average, "lr_change": LrChange, "body_lr": BodyLr, "cooldown": Cooldown}


def plain(extra: Any) -> dict[str, Any]:
    """An extra as a table of recipe.toml."""
    values = {f.name: getattr(extra, f.name) for f in fields(extra)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def read(name: str, table: Any, record: type[Any]) -> Any:
    """The extra in a table of recipe.toml.

    Raises:
        UsageError: the table has other keys than the record, or values of another kind.
    """
    wanted = {f.name: list if "tuple" in str(f.type) else int | float for f in fields(record)}
    right = isinstance(table, Mapping) and set(table) == set(wanted) and all(isinstance(table[key], kind) for key, kind in wanted.items())
    if not right:
        kinds = ", ".join(f"{key} ({'a list of names' if kind is list else 'a number'})" for key, kind in sorted(wanted.items()))
        raise UsageError(f"[{name}] in the recipe needs exactly {kinds}")
    return record(**table)
