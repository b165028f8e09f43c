"""The records as arrays: every training's curves, packed into one file, and the views on them that policies, peers and the prior read.

`records.npz` holds, for each task, `NAME.raw` (recipes + baselines, looks, valid and audit, metrics) and `NAME.averaged` (the same at fewer
looks), float32 with NaN after a fault, and `meta`, a JSON text with tasks, rows, losses and looks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FILE = Path(__file__).with_name("records.npz")
VALID, AUDIT = 0, 1
ARRAYS = ("raw", "averaged", "base", "variance", "base_variance", "seconds", "base_seconds", "more_raw", "more_averaged", "more")
AVERAGED = "~averaged"  # behind a recipe's name: its averaged weights are handed back


@dataclass(frozen=True)
class TaskRecords:
    """What was recorded of one task. Values are signed so that lower is better; recipes come raw first, then with averaged weights."""

    name: str
    facts: dict[str, Any]  # family, metrics, direction, length, passes, task, model_kind, losses, keep
    rows: list[dict[str, Any]]
    looks: Floats  # shares of the length
    averaged_looks: Floats
    raw: Floats  # (recipes, looks, 2, metrics), of the seed 0
    averaged: Floats  # (recipes, averaged looks, 2, metrics)
    base: Floats  # (seeds, looks, 2, metrics), AdamW's default with the plain loss
    variance: Floats  # (recipes,) of the difference on audit to the first baseline, as other examples would give it
    base_variance: Floats  # (seeds,)
    seconds: Floats  # (recipes,) of training, on whatever the machine also did
    base_seconds: Floats  # (seeds,)
    more_raw: Floats  # (trainings, looks, 2, metrics) of some recipes on further seeds
    more_averaged: Floats
    more: Floats  # (trainings, 2): the row and the seed of each

    @property
    def sign(self) -> float:
        return 1.0 if self.facts["direction"] == "min" else -1.0

    @property
    def keeps_best(self) -> bool:
        return bool(self.facts["keep"] == "best")

    @property
    def count(self) -> int:
        return 2 * len(self.rows)

    def name_of(self, recipe: int) -> str:
        row = self.rows[recipe % len(self.rows)]
        return f"{row['name']}+{row['loss']}{AVERAGED if recipe >= len(self.rows) else ''}"

    def at(self, recipe: int, share: float, split: int = VALID, *, best: bool | None = None) -> float:
        """The first metric of a recipe at a share of the length, signed: now, or at the best look so far. Infinite after a fault."""
        average = recipe >= len(self.rows)
        curve = (self.averaged if average else self.raw)[recipe % len(self.rows), :, :, 0]
        looks = self.averaged_looks if average else self.looks
        return self._read(curve, looks, share, split, self.keeps_best if best is None else best)

    def base_at(self, seed: int, share: float, split: int = VALID) -> float:
        """The same of a baseline, which hands back its last weights."""
        return self._read(self.base[seed, :, :, 0], self.looks, share, split, False)

    def _read(self, curve: Floats, looks: Floats, share: float, split: int, best: bool) -> float:
        seen = int(np.searchsorted(looks, share + 1e-9))
        if seen == 0:
            return np.inf
        valid = self.sign * curve[:seen, VALID]
        if not np.isfinite(valid[-1]):
            return np.inf
        if looks[0] < 0.05 <= looks[seen - 1]:  # the look before the first twentieth is no look of a training, only of a rung
            first = int(np.searchsorted(looks, 0.05 - 1e-9))
        else:
            first = 0
        place = first + int(np.nanargmin(valid[first:])) if best else seen - 1
        return float(self.sign * curve[place, split])

    @property
    def best_on_valid(self) -> int:
        """The recipe that a search through all of them would pick."""
        return int(np.nanargmin(np.where(np.isfinite(self.finals[:, VALID]), self.finals[:, VALID], np.nan)))

    @cached_property
    def recorded(self) -> NDArray[np.bool_]:
        """(rows,): whether a row was trained at all; one that failed was."""
        return np.asarray(np.isfinite(self.seconds))

    @cached_property
    def finals(self) -> Floats:
        """(recipes, 2): the metric of what each recipe hands back, on valid and on audit."""
        return np.array([[self.at(recipe, 1.0, split) for split in (VALID, AUDIT)] for recipe in range(self.count)])

    @cached_property
    def reference(self) -> Floats:
        """(seeds, 2): the recipe that is best on valid, trained again on seeds that had no say in the choice."""
        recipe, count = self.best_on_valid, len(self.rows)
        average = recipe >= count
        curves = (self.more_averaged if average else self.more_raw)[self.more[:, 0] == recipe % count]
        looks = self.averaged_looks if average else self.looks
        splits = (VALID, AUDIT)
        return np.array([[self._read(curve[:, :, 0], looks, 1.0, split, self.keeps_best) for split in splits] for curve in curves])

    @cached_property
    def default(self) -> Floats:
        """(seeds, 2): the same of the baselines."""
        return np.array([[self.base_at(seed, 1.0, split) for split in (VALID, AUDIT)] for seed in range(len(self.base))])


def load(path: Path = FILE) -> dict[str, TaskRecords]:
    with np.load(path) as held:
        meta = json.loads(str(held["meta"]))
        found = {}
        for name, facts in meta["tasks"].items():
            arrays = {key: held[f"{name}.{key}"].astype(np.float64) for key in ARRAYS}
            looks, averaged_looks = np.array(meta["looks"]), np.array(meta["averaged_looks"])
            found[name] = TaskRecords(name=name, facts=facts, rows=meta["rows"], looks=looks, averaged_looks=averaged_looks, **arrays)
    return found


def pack(
    work: Path, facts: dict[str, dict[str, Any]], rows: list[dict[str, Any]], looks: Any, averaged_looks: Any, seeds: int, path: Path = FILE
) -> None:
    """Write the lines of a work folder as one file."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, known in facts.items():
        lines = [
            json.loads(line)
            for line in (work / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            if line.endswith("\n")
        ]
        metrics = len(known["metrics"])

        def curves(entry: dict[str, Any] | None, kind: str, length: int, width: int = metrics) -> NDArray[np.float32]:
            filled = np.full((length, 2, width), np.nan, dtype=np.float32)
            if entry is not None and entry[kind]:
                filled[: len(entry[kind])] = np.array(entry[kind], dtype=np.float32)
            return filled

        by_place = {entry["place"]: entry for entry in lines if entry["place"] >= 0 and entry["seed"] == 0}
        by_seed = {entry["seed"]: entry for entry in lines if entry["place"] < 0}
        more = [entry for entry in lines if entry["place"] >= 0 and entry["seed"] > 0]
        of_rows, of_seeds = [by_place.get(k) for k in range(len(rows))], [by_seed.get(k) for k in range(seeds)]
        arrays[f"{name}.raw"] = np.stack([curves(entry, "raw", len(looks)) for entry in of_rows])
        arrays[f"{name}.averaged"] = np.stack([curves(entry, "averaged", len(averaged_looks)) for entry in of_rows])
        arrays[f"{name}.base"] = np.stack([curves(entry, "raw", len(looks)) for entry in of_seeds])
        arrays[f"{name}.more_raw"] = np.array([curves(entry, "raw", len(looks)) for entry in more]).reshape(-1, len(looks), 2, metrics)
        averaged = [curves(entry, "averaged", len(averaged_looks)) for entry in more]
        arrays[f"{name}.more_averaged"] = np.array(averaged).reshape(-1, len(averaged_looks), 2, metrics)
        arrays[f"{name}.more"] = np.array([(entry["place"], entry["seed"]) for entry in more], dtype=np.float64).reshape(-1, 2)
        for prefix, entries in (("", of_rows), ("base_", of_seeds)):
            arrays[f"{name}.{prefix}variance"] = np.array([(entry or {}).get("example_variance", [np.nan])[0] for entry in entries])
            arrays[f"{name}.{prefix}seconds"] = np.array([(entry or {}).get("train_s", np.nan) for entry in entries])
    meta = {"schema": 1, "tasks": facts, "rows": rows, "looks": list(looks), "averaged_looks": list(averaged_looks)}
    np.savez_compressed(path, meta=np.array(json.dumps(meta)), **arrays)
