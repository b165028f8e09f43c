"""Entry: what every entry of the catalogue declares, and the hyperparameters that it has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from fallline._errors import UsageError, unknown

if TYPE_CHECKING:
    from fallline._profile import Profile

Value: TypeAlias = "float | int | bool | str | list[float] | None"
Settings: TypeAlias = "Mapping[str, Any]"  # name -> Value; Any, because reading a number out of the union would need a cast everywhere


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One value inside a recipe: its default with the reason, and the range in which draws are made."""

    default: Value
    why: str  # the reason for the default, one clause
    low: float | None = None
    high: float | None = None
    log: bool = False  # drawn on a logarithmic scale
    choices: tuple[Value, ...] = ()
    unit: str = ""  # "share of the length", "target MAD"; empty: as the paper writes it
    above_zero: bool = False  # zero itself is refused
    above: float | None = None  # values up to here are refused; None: no such bound
    below: float | None = None  # values from here on are refused
    negative: bool = False  # numbers below zero are taken too
    whole: bool = False  # whole numbers only
    measured: bool = False  # follows from the problem, so that no other value would do

    def check(self, owner: str, name: str, value: Value) -> None:
        """Raise UsageError when `value` is impossible (not merely outside the range in which draws are made)."""
        if isinstance(self.default, str):
            if value not in self.choices:
                raise UsageError(f"{owner}: {name} must be one of {', '.join(map(str, self.choices))}, got {value!r}")
            return
        if isinstance(self.default, bool):
            if not isinstance(value, bool):
                raise UsageError(f"{owner}: {name} must be true or false, got {value!r}")
            return
        listed = isinstance(value, list) and (self.default is None or isinstance(self.default, list))
        if listed or (self.default is None and value is None):
            for item in value if isinstance(value, list) else []:
                self._check_number(owner, f"each number of {name}", item)
            return
        self._check_number(owner, name, value)

    def _check_number(self, owner: str, name: str, value: Value) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise UsageError(f"{owner}: {name} must be a finite number, got {value!r}")
        if self.whole and value != int(value):
            raise UsageError(f"{owner}: {name} must be a whole number, got {value}")
        if self.below is not None and value >= self.below:
            raise UsageError(f"{owner}: {name} must be below {self.below:g}, got {value}; leave it out to let the race choose it")
        if self.above is not None and value <= self.above:
            raise UsageError(f"{owner}: {name} must be above {self.above:g}, got {value}; leave it out to let the race choose it")
        if (value < 0 and not self.negative) or (self.above_zero and value == 0):
            wanted = "positive" if self.above_zero else "zero or more"
            raise UsageError(f"{owner}: {name} must be {wanted}, got {value}; leave it out to let the race choose it")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What every entry of the catalogue declares."""

    name: str  # as users type it
    title: str  # as people write it
    source: str  # paper or documentation
    space: Mapping[str, Hyperparameter] = field(default_factory=dict)
    example: Settings = field(default_factory=dict)  # a non-neutral value for every hyperparameter, for the contract suite
    aliases: tuple[str, ...] = ()
    text: str = ""  # its page, where no file of its own holds it
    carries: str = ""  # module that an exported script copies whole, where `code` names something that its own module does not define

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", MappingProxyType(dict(self.space)))
        object.__setattr__(self, "example", MappingProxyType(dict(self.example)))

    def defaults(self) -> dict[str, Value]:
        return {name: hyper.default for name, hyper in self.space.items()}

    def check(self, settings: Settings) -> None:
        """Raise UsageError for a setting that this entry does not have or cannot take."""
        for name, value in settings.items():
            if name not in self.space:
                raise unknown(f"setting of {self.name}", name, self.space)
            self.space[name].check(self.name, name, value)


def anywhere(profile: Profile) -> str:
    """Nothing is refused."""
    return ""
