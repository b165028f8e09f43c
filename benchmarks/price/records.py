"""The records as arrays: every training's curves, packed into one file, and the views on them that policies, peers and the prior read.

`records.npz` holds, for each task, `NAME.raw` (recipes + baselines, looks, valid and audit, metrics) and `NAME.averaged` (the same at fewer
looks), float32 with NaN after a fault, and `meta`, a JSON text with tasks, rows, losses and looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline._portfolio import length_factor
from fallline._prior import _moved_lr

Floats = NDArray[np.float64]
FILE = Path(__file__).with_name("records.npz")
VALID, AUDIT = 0, 1
ARRAYS = ("raw", "averaged", "base", "variance", "base_variance", "seconds", "base_seconds", "more_raw", "more_averaged", "more")
BY_ROW = ("raw", "averaged", "variance", "seconds")  # those with an entry for each row
FIRST_BLOCK = 80  # rows whose lrs are the same for every task; those behind them move with its length
AVERAGED = "~averaged"  # behind a recipe's name: its averaged weights are handed back


@dataclass(frozen=True)
class TaskRecords:
    """What was recorded of one task. Values are signed so that lower is better; recipes come raw first, then with averaged weights."""

    name: str
    facts: dict[str, Any]  # family, metrics, direction, length, passes, task, model_kind, losses, keep
    rows: list[dict[str, Any]]  # as in space.py
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
        return f"{row['name']}+{row['loss']}{AVERAGED if self.averages(recipe) else ''}"

    def lr_of(self, recipe: int) -> float:
        """The lr that a recipe was trained with."""
        return float(at_length(self.rows[recipe % len(self.rows)], int(self.facts["length"]))["optimizer"]["lr"])

    def averages(self, recipe: int) -> bool:
        """Whether a recipe hands back averaged weights."""
        return bool(recipe // len(self.rows) % 2)

    def curve(self, recipe: int) -> Floats:
        """(looks, 2, metrics) of a recipe, at `averaged_looks` where it averages."""
        found: Floats = (self.averaged if self.averages(recipe) else self.raw)[recipe % len(self.rows)]
        return found

    def at(self, recipe: int, share: float, split: int = VALID, *, best: bool | None = None) -> float:
        """The first metric of a recipe at a share of the length, signed: now, or at the best look so far. Infinite after a fault."""
        looks = self.averaged_looks if self.averages(recipe) else self.looks
        return self._read(self.curve(recipe)[:, :, 0], looks, share, split, self.keeps_best if best is None else best)

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


def at_length(row: Mapping[str, Any], steps: int) -> Mapping[str, Any]:
    """A row as it is trained for so many steps: where its lr moves with the length, the row has that of LR_STEPS."""
    return _moved_lr(row, length_factor(steps)) if row.get("moves") else row


def load(path: Path = FILE, rows: int | None = None) -> dict[str, TaskRecords]:
    """All tasks; `rows`: with so many of the first recipes only."""
    with np.load(path) as held:
        meta = json.loads(str(held["meta"]))
        looks, averaged_looks, found = np.array(meta["looks"]), np.array(meta["averaged_looks"]), {}
        for name, facts in meta["tasks"].items():
            arrays = {key: held[f"{name}.{key}"].astype(np.float64) for key in ARRAYS}
            arrays |= {key: arrays[key][:rows] for key in BY_ROW}
            kept = arrays["more"][:, 0] < len(meta["rows"][:rows])
            arrays |= {key: arrays[key][kept] for key in ("more", "more_raw", "more_averaged")}
            known = {"name": name, "facts": facts, "rows": meta["rows"][:rows], "looks": looks, "averaged_looks": averaged_looks}
            found[name] = TaskRecords(**known, **arrays)
    return found


def pack(
    work: Path, facts: dict[str, dict[str, Any]], rows: list[dict[str, Any]], looks: Any, averaged_looks: Any, seeds: int, path: Path = FILE
) -> None:
    """Write the lines of a work folder as one file; what they do not hold stays as it was in that file, and new rows stand behind the old.

    Raises:
        ValueError: a row of the space has changed since, and a task has no new training of it.
    """
    before = dict(np.load(path)) if path.exists() else {}
    known_before = json.loads(str(before.pop("meta"))) if before else {"tasks": {}, "rows": rows}
    changed = {place for place, (old, new) in enumerate(zip(known_before["rows"], rows, strict=False)) if old != new}
    before = {key: _longer(array, len(rows)) if key.rpartition(".")[2] in BY_ROW else array for key, array in before.items()}
    arrays: dict[str, NDArray[Any]] = {key: array for key, array in before.items() if key.rpartition(".")[0] not in facts}
    if changed and arrays:
        raise ValueError(f"rows {sorted(changed)} have changed, so all tasks must be packed together")
    for name, known in facts.items():
        lines = [json.loads(line) for line in whole_lines(work / f"{name}.jsonl")]
        missing = changed - {entry["place"] for entry in lines if entry["seed"] == 0}
        if missing:
            raise ValueError(f"rows {sorted(missing)} have changed since {name} was recorded, and it was not trained with them again")
        past = {key: before[f"{name}.{key}"] for key in ARRAYS if f"{name}.{key}" in before}
        packed = _packed(
            lines, past, len(rows), seeds, (len(looks), 2, len(known["metrics"])), (len(averaged_looks), 2, len(known["metrics"]))
        )
        arrays |= {f"{name}.{key}": array for key, array in packed.items()}
    facts = {**known_before["tasks"], **facts}
    meta = {"schema": 1, "tasks": facts, "rows": rows, "looks": list(looks), "averaged_looks": list(averaged_looks)}
    np.savez_compressed(path, meta=np.array(json.dumps(meta)), **arrays)


def _longer(array: NDArray[Any], rows: int) -> NDArray[Any]:
    """An array by row with room for so many of them."""
    return np.concatenate([array, np.full((rows - len(array), *array.shape[1:]), np.nan, dtype=array.dtype)])


def _packed(
    lines: Sequence[dict[str, Any]],
    past: Mapping[str, NDArray[Any]],
    rows: int,
    seeds: int,
    raw: tuple[int, ...],
    averaged: tuple[int, ...],
) -> dict[str, NDArray[Any]]:
    """The arrays of one task; `raw` and `averaged` are the shapes of a curve."""

    def curve(kind: str, shape: tuple[int, ...]) -> Callable[[dict[str, Any]], NDArray[np.float32]]:
        def read(entry: dict[str, Any]) -> NDArray[np.float32]:
            filled = np.full(shape, np.nan, dtype=np.float32)
            if entry[kind]:
                filled[: len(entry[kind])] = np.array(entry[kind], dtype=np.float32)
            return filled

        return read

    def variance(entry: dict[str, Any]) -> float:
        return float(entry.get("example_variance", [np.nan])[0])

    def seconds(entry: dict[str, Any]) -> float:
        return float(entry["train_s"])

    by_place = {entry["place"]: entry for entry in lines if entry["place"] >= 0 and entry["seed"] == 0}
    by_seed = {entry["seed"]: entry for entry in lines if entry["place"] < 0}
    raws, averages = curve("raw", raw), curve("averaged", averaged)
    found = {}
    for key, places, entries, read, shape in (
        ("raw", rows, by_place, raws, raw), ("averaged", rows, by_place, averages, averaged), ("base", seeds, by_seed, raws, raw),
        ("variance", rows, by_place, variance, ()), ("base_variance", seeds, by_seed, variance, ()),
        ("seconds", rows, by_place, seconds, ()), ("base_seconds", seeds, by_seed, seconds, ()),
    ):  # fmt: skip
        kind = np.float32 if shape else np.float64
        found[key] = past[key].copy() if key in past else np.full((places, *shape), np.nan, dtype=kind)
        for place, entry in entries.items():
            found[key][place] = read(entry)
    more = [entry for entry in lines if entry["place"] >= 0 and entry["seed"] > 0]
    old = past.get("more", np.empty((0, 2)))
    again = {(entry["place"], entry["seed"]) for entry in more}
    stays = np.array([place not in by_place and (place, seed) not in again for place, seed in old], dtype=bool)
    mine = (
        ("more", (2,), [(entry["place"], entry["seed"]) for entry in more]),
        ("more_raw", raw, [raws(entry) for entry in more]), ("more_averaged", averaged, [averages(entry) for entry in more]),
    )  # fmt: skip
    for key, shape, new in mine:
        kept = past[key][stays] if key in past else np.empty((0, *shape))
        found[key] = np.concatenate([kept, np.array(new, dtype=kept.dtype).reshape(-1, *shape)])
    return found


def whole_lines(path: Path) -> list[str]:
    """The lines of a task's file; one cut short by a kill does not count."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
