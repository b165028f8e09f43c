"""Recipe: every choice that makes a set of trained weights, as frozen data; TOML both ways, diff, and `build()` to plain torch."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fallline import catalogue
from fallline._errors import UsageError, unknown
from fallline._extras import EXTRAS, plain, read
from fallline._extras import Average as Average
from fallline._extras import BodyLr as BodyLr
from fallline._extras import Cooldown as Cooldown
from fallline._extras import LrChange as LrChange
from fallline._head import Head
from fallline.catalogue import Settings, Value

if TYPE_CHECKING:
    from fallline._parts import Parts

OWN = "own"  # a part that is the user's own set-up, taken from the problem
KEEPS = ("last", "best")
DECAY_ON = ("matrices", "all")
KINDS = {"loss": catalogue.loss, "optimizer": catalogue.optimizer, "schedule": catalogue.schedule, "clip": catalogue.clip}


@dataclass(frozen=True)
class Part:
    """One chosen entry with its settings; `own` is the user's."""

    name: str
    settings: Settings = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", MappingProxyType(dict(self.settings)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Part, (self.name, dict(self.settings))

    def __hash__(self) -> int:
        return hash((self.name, json.dumps(dict(self.settings), sort_keys=True)))

    @property
    def own(self) -> bool:
        return self.name == OWN

    def __str__(self) -> str:
        shown = ", ".join(f"{key}={_short(value)}" for key, value in self.settings.items() if not isinstance(value, list))
        return f"{self.name}({shown})" if shown else self.name


@dataclass(frozen=True)
class Frame:
    """What all recipes of a race share: length in updates, seed, looks at valid, how many examples each reads (0: all), threads."""

    steps: int
    seed: int
    evaluations: int
    look_rows: int
    threads: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All choices, complete and frozen. `steps` is the length in optimizer updates, `evaluations` where `keep="best"` looks."""

    loss: Part
    optimizer: Part
    schedule: Part = field(default_factory=lambda: Part("constant"))
    clip: Part = field(default_factory=lambda: Part("none"))
    decay_on: str = "matrices"  # what decay acts on; "all" is torch's default
    steps: int = 0
    seed: int = 0
    keep: str = "last"
    evaluations: int = 20  # evenly spaced looks at valid, for keep="best" and schedules that read the metric
    average: Average | None = None
    lr_change: LrChange | None = None
    body_lr: BodyLr | None = None  # of a model that starts from trained weights
    cooldown: Cooldown | None = None
    look_rows: int = 0  # examples of valid that a look reads, drawn by the seed; 0: all of them
    patience: int | None = None  # looks without improvement after which training ends
    threads: int = 0  # intra-op threads it was trained with: with another number sums come out a little different; 0: not said
    head: Head | None = None  # what the loss changes at the model's end

    def __post_init__(self) -> None:
        if self.keep not in KEEPS:
            raise UsageError(f"keep must be 'last' or 'best', got {self.keep!r}")
        if self.decay_on not in DECAY_ON:
            raise UsageError(f"decay_on must be 'matrices' or 'all', got {self.decay_on!r}")
        if self.threads < 0:
            raise UsageError(f"threads must be zero or more, got {self.threads}")
        if self.steps < 0 or self.evaluations < 1:
            raise UsageError(f"steps must be zero or more and evaluations at least 1, got {self.steps} and {self.evaluations}")

    @property
    def lr(self) -> float | None:
        """The peak learning rate, None where the optimizer is the user's own."""
        value = self.optimizer.settings.get("lr")
        return float(value) if isinstance(value, int | float) else None

    @property
    def end(self) -> int:
        """The step at which training ends: the length, or the end of a cooldown."""
        return self.cooldown.at + self.cooldown.steps if self.cooldown else self.steps

    @property
    def family(self) -> str:
        return OWN if self.optimizer.own else catalogue.optimizer(self.optimizer.name).family

    def parts(self) -> dict[str, Part]:
        """The four chosen parts by kind."""
        return {"loss": self.loss, "optimizer": self.optimizer, "schedule": self.schedule, "clip": self.clip}

    def with_parts(self, parts: Mapping[str, Part]) -> Recipe:
        """The recipe with other parts; those not named stay."""
        new = {**self.parts(), **parts}
        return replace(self, loss=new["loss"], optimizer=new["optimizer"], schedule=new["schedule"], clip=new["clip"])

    def with_lr(self, lr: float) -> Recipe:
        return replace(self, optimizer=Part(self.optimizer.name, {**self.optimizer.settings, "lr": lr}))

    def nearly(self, other: Recipe) -> bool:
        """Whether the other differs by rounding of its lr at most."""
        if self.lr is None or other.lr is None:
            return self == other
        return math.isclose(self.lr, other.lr, rel_tol=1e-6) and self == other.with_lr(self.lr)

    def looks(self) -> list[int]:
        """The steps after which valid is looked at; the last one is the end."""
        count = min(self.evaluations, max(self.steps, 1))
        points = {math.ceil(self.steps * (i + 1) / count) for i in range(count)}
        return sorted({point for point in points if point < self.end} | {self.end})

    def lr_factor(self, step: int) -> float:
        """What multiplies the peak lr at `step` (0 to end - 1), apart from a schedule's reaction to the metric."""
        from fallline._parts import lr_curve

        curve = lr_curve(self)
        return 1.0 if curve is None else curve(step)

    def diff(self, other: Recipe) -> dict[str, tuple[Any, Any]]:
        """Where two recipes differ: dotted name -> (here, there)."""
        mine, theirs = flat(self), flat(other)
        return {
            key: (mine.get(key), theirs.get(key))
            for key in [*mine, *(k for k in theirs if k not in mine)]
            if mine.get(key) != theirs.get(key)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain containers in the shape of recipe.toml."""
        out: dict[str, Any] = {"schema": 1, "seed": self.seed, "steps": self.steps, "keep": self.keep, "evaluations": self.evaluations}
        out["look_rows"] = self.look_rows
        if self.threads:
            out["threads"] = self.threads
        out["decay_on"] = self.decay_on
        if self.patience is not None:
            out["patience"] = self.patience
        for kind, part in self.parts().items():
            out[kind] = {"name": part.name, **part.settings}
        for extra in ("head", *EXTRAS):
            value = getattr(self, extra)
            if value is not None:
                out[extra] = plain(value)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """The recipe in `data`; unknown names and impossible values are refused with advice."""
        known = {f.name for f in fields(cls)} | {"schema"}
        for key in data:
            if key not in known:
                raise unknown("key in the recipe", key, known)
        if data.get("schema", 1) != 1:
            raise UsageError(f"the recipe has schema {data['schema']}, this version reads schema 1; install a newer fallline")
        numbers = ("seed", "steps", "keep", "evaluations", "look_rows", "decay_on", "patience", "threads")
        given: dict[str, Any] = {key: data[key] for key in numbers if key in data}
        for kind, find in KINDS.items():
            if kind in data:
                given[kind] = _part(kind, data[kind], find)
            elif kind in ("loss", "optimizer"):
                raise UsageError(f'the recipe has no [{kind}]; add [{kind}] with name = "..."')
        if "head" in data:
            given["head"] = Head.of(data["head"])
        for extra, record in EXTRAS.items():
            if extra in data:
                given[extra] = read(extra, data[extra], record)
        for key in ("seed", "steps", "evaluations", "look_rows", "patience", "threads"):
            if key in given and (isinstance(given[key], bool) or not isinstance(given[key], int)):
                raise UsageError(f"{key} in the recipe must be a whole number, got {given[key]!r}")
        return cls(**given)

    def to_toml(self) -> str:
        """The text of recipe.toml; `from_toml` gives the same recipe back."""
        data = self.to_dict()
        lines = [f"{key} = {_toml(value)}" for key, value in data.items() if not isinstance(value, dict)]
        for key, table in data.items():
            if isinstance(table, dict):
                lines += ["", f"[{key}]", *(f"{name} = {_toml(value)}" for name, value in table.items() if value is not None)]
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, where: str = "the recipe") -> Recipe:
        try:
            return cls.from_dict(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{where} is not valid TOML: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """The recipe in a TOML file."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read the recipe {path}: {error}") from error
        return cls.from_toml(text, str(path))

    def adapt(self, model: Any) -> Any:
        """`model`, its end changed in place as the recipe's loss needs it (`head`); unchanged where it needs nothing."""
        from fallline._adapt import adapt

        return adapt(model, self.head, self.seed)

    def build(self, model: Any, *, steps: int | None = None, problem: Any = None) -> Parts:
        """Plain torch objects for `model`: parts.loss, parts.optimizer, parts.scheduler (one step an update), parts.clip.

        `steps` is the length of your training; left out, the recipe's own. A recipe with parts of the user's own needs the `problem`.
        """
        from fallline._parts import build

        return build(self if steps is None else replace(self, steps=steps), model, problem)


def flat(recipe: Recipe) -> dict[str, Any]:
    """A recipe as dotted names and plain values."""
    out: dict[str, Any] = {}
    for key, value in recipe.to_dict().items():
        if isinstance(value, dict):
            out[key] = value.get("name")
            out.update({f"{key}.{name}": item for name, item in value.items() if name != "name"})
        else:
            out[key] = value
    return out


def _part(kind: str, table: Any, find: Any) -> Part:
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise UsageError(f'[{kind}] in the recipe needs name = "..."')
    settings = {key: value for key, value in table.items() if key != "name"}
    if table["name"] == OWN:
        return Part(OWN, settings)
    entry = find(table["name"])
    entry.check(settings)
    return Part(entry.name, {**entry.defaults(), **settings})


def _toml(value: Value) -> str:
    # JSON spells strings, numbers, booleans and lists of numbers as TOML does, but not 1e-05 without a dot... which TOML accepts too
    return json.dumps(value, ensure_ascii=False)


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
