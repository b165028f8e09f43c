"""Constraints: what the user fixes (`lr=0.01`, `optimizer="sgd"`, ...); every candidate keeps it, the baseline apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fallline import catalogue
from fallline._errors import UsageError, unknown
from fallline._recipe import KINDS, Part, Recipe
from fallline.catalogue import Value


@dataclass(frozen=True)
class Constraints:
    """Names of entries by kind, and settings by name."""

    names: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Value] = field(default_factory=dict)
    losses: Sequence[str] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any], losses: Sequence[str] | None = None) -> Constraints:
        """The constraints in keyword arguments; unknown names and impossible values are refused with the nearest."""
        names: dict[str, str] = {}
        settings: dict[str, Value] = {}
        known = _setting_names(given)
        for key, value in given.items():
            if value is None:
                continue
            if key in KINDS:
                if not isinstance(value, str):
                    raise UsageError(
                        f"{key} must be a name of the catalogue, got {type(value).__name__}; your own objects go into the Problem"
                    )
                names[key] = KINDS[key](value).name
            elif key in known:
                known[key].check("constraint", key, value)
                settings[key] = value
            else:
                raise unknown("constraint", key, [*KINDS, *known])
        chosen = [catalogue.loss(name).name for name in losses or ()]
        if "loss" in names:
            chosen = [names["loss"]]
        made = cls(names, settings, tuple(chosen))
        made._check_together()
        return made

    def _check_together(self) -> None:
        """A setting that the named optimizer (loss, schedule, clip) does not have would otherwise leave no candidate."""
        for key in self.settings:
            chosen = {kind: KINDS[kind](name) for kind, name in self.names.items()}
            having = [*catalogue.all_entries(), *chosen.items()]  # what is named may be none of those that are listed
            owners = list(dict.fromkeys(kind for kind, entry in having if key in entry.space))
            named = [chosen[kind] for kind in owners if kind in chosen]
            if named and not any(key in entry.space for entry in named) and all(kind in self.names for kind in set(owners)):
                raise UsageError(f"{' and '.join(entry.name for entry in named)} has no {key}; it has {', '.join(named[0].space)}")

    def to_dict(self) -> dict[str, Any]:
        """The constraints as plain JSON."""
        return {"names": dict(self.names), "settings": dict(self.settings), "losses": list(self.losses)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Constraints:
        """The constraints in `data`, as `to_dict` wrote them."""
        return cls(dict(data.get("names", {})), dict(data.get("settings", {})), tuple(data.get("losses", ())))

    def apply(self, recipe: Recipe) -> Recipe | None:
        """The recipe with the constraints put in; None where it cannot keep them."""
        if self.losses and recipe.loss.name not in self.losses:
            return None
        for kind, name in self.names.items():
            part = recipe.parts()[kind]
            if kind == "optimizer" and part.name != name:
                return None
            if part.name != name and kind != "loss":
                recipe = recipe.with_parts({kind: Part(name, KINDS[kind](name).defaults())})
        for key, value in self.settings.items():
            owners = {kind: part for kind, part in recipe.parts().items() if not part.own and key in KINDS[kind](part.name).space}
            if not owners:
                return None
            recipe = recipe.with_parts({kind: Part(part.name, {**part.settings, key: value}) for kind, part in owners.items()})
        return recipe

    def loss_part(self, part: Part) -> Part:
        """A loss with the settings that are constrained."""
        space = catalogue.loss(part.name).space
        return Part(part.name, {**part.settings, **{key: value for key, value in self.settings.items() if key in space}})

    def describe(self) -> str:
        """The constraints in words; empty when there are none."""
        shown = [f"{key}={value}" for key, value in {**self.names, **self.settings}.items()]
        if self.losses and "loss" not in self.names:
            shown.append(f"losses={', '.join(self.losses)}")
        return ", ".join(shown)


def _setting_names(given: Mapping[str, Any]) -> dict[str, catalogue.Hyperparameter]:
    """All settings that there are: those of the catalogue, and those of an optimizer that is named and not listed."""
    named = given.get("optimizer")
    more = catalogue.optimizer(named).space if isinstance(named, str) else {}
    return {**{name: hyper for _, entry in catalogue.all_entries() for name, hyper in entry.space.items()}, **more}
