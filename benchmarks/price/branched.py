"""Records with branches: beside every whole training, what branches.py trained from rung one on, as further recipes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from records import AUDIT, VALID, Floats, TaskRecords

FILE = Path(__file__).with_name("branches.npz")
COOLED = (0.01, 0.02, 0.05)  # shares of the length over which lr fell to zero after rung one
FACTORS = (1 / 3, 3.0)  # of lr, from rung one to the end


@dataclass(frozen=True)
class Branched(TaskRecords):
    """Records with branches. Recipes come in blocks of all rows: raw, averaged; then the same twice for each factor of the children."""

    cooldowns: Floats  # (rows, COOLED) the metric on valid
    children: Floats  # (factors, rows, looks, 2, metrics); NaN where none was trained
    averaged_children: Floats

    @property
    def count(self) -> int:
        return 2 * len(self.rows) * (1 + len(FACTORS))

    def curve(self, recipe: int) -> Floats:
        block, place = divmod(recipe, len(self.rows))
        if block < 2:
            return super().curve(recipe)
        found: Floats = (self.averaged_children if block % 2 else self.children)[block // 2 - 1, place]
        return found

    @cached_property
    def finals(self) -> Floats:
        return np.array([[self.at(recipe, 1.0, split) for split in (VALID, AUDIT)] for recipe in range(self.count)])

    def child_of(self, recipe: int, factor: float) -> int | None:
        """The recipe that left this one at rung one with `factor` times its lr; None where it was not trained."""
        block, place = divmod(recipe, len(self.rows))
        number = FACTORS.index(factor)
        if block > 1 or not np.isfinite(self.children[number, place, -1, VALID, 0]):
            return None
        return place + len(self.rows) * (2 * (number + 1) + block)

    def cooldown(self, judged: str) -> float:
        """The share of the length that judging costs a candidate."""
        return float(judged.removeprefix("cooled ")) if judged.startswith("cooled") else 0.0

    def cooled(self, recipe: int, judged: str) -> float:
        """The metric on valid after the cooldown that `judged` names, signed; infinite after a fault."""
        value = self.sign * float(self.cooldowns[recipe % len(self.rows), COOLED.index(self.cooldown(judged))])
        return value if np.isfinite(value) else np.inf


def branched(records: dict[str, TaskRecords]) -> dict[str, Branched]:
    """The tasks of which branches were recorded."""
    found = {}
    with np.load(FILE) as held:
        for name, task in records.items():
            if f"{name}.cooled" not in held:
                continue
            known = {f.name: getattr(task, f.name) for f in fields(TaskRecords)}
            arrays = {key: held[f"{name}.{key}"].astype(np.float64) for key in ("cooled", "children", "raw", "averaged")}
            whole = []
            for parents, late in ((task.raw, arrays["raw"]), (task.averaged, arrays["averaged"])):
                curves = np.full((len(FACTORS), *parents.shape), np.nan)
                for (place, factor), curve in zip(arrays["children"], late, strict=True):
                    number = int(np.argmin(np.abs(np.array(FACTORS) - factor)))
                    curves[number, int(place)] = parents[int(place)]
                    curves[number, int(place), len(parents[0]) - len(curve) :] = curve
                whole.append(curves)
            found[name] = Branched(**known, cooldowns=arrays["cooled"], children=whole[0], averaged_children=whole[1])
    return found
