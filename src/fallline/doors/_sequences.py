"""From arrays of sequences to a Problem: their lengths and channels, one target a sequence or a class a step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._counted import counted
from fallline._errors import RefusedError, UsageError
from fallline._splits import duplicate_groups
from fallline.doors._arrays import Arrays, array_target, arrays_of, check_classes, first_of, shapes_of, target_name
from fallline.doors._asked import Asked
from fallline.doors._opened import opened_problem
from fallline.doors._prepare_arrays import PADDED, lengths_of, parts_of_arrays
from fallline.doors._rows import Division, divide
from fallline.doors._task import check_metric
from fallline.doors.models.gru import SequenceGRU
from fallline.metrics import resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fallline._problem import Problem


def claims(path: Path) -> bool:
    """Whether a file holds sequences: numbers with a decimal point in three dimensions, or the length of each example."""
    shapes = shapes_of(path)
    x = first_of(shapes, "x")
    return x is not None and (first_of(shapes, "length") is not None or (len(x[0]) == 3 and x[1].kind == "f"))


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    arrays = arrays_of(path, target=asked.target, group=asked.group, lengths=True)
    x, y, length = arrays.held["x"], arrays.held["y"], _lengths(path, arrays)
    each_step = y.ndim == 2 and y.shape[1] == x.shape[1] and y.dtype.kind in "biu"
    steps, channels = counted(int(length.max()), "step"), counted(x.shape[2], "channel")
    notes = [f"sequences: {len(x):,} of {length.min():,} to {steps}, {channels}", *arrays.notes]
    if "length" not in arrays.names:
        notes.append("there is no array length, so every sequence is whole; images would be uint8 pixels")
    if each_step:
        target, values = None, _step_classes(path, arrays, length, asked, notes)
        rows, classes = np.ones(len(x), dtype=np.bool_), None
    else:
        target, values = array_target(path, arrays, asked), []
        notes += target.notes
        rows, classes = target.rows, target.classes
    division = _divided(arrays, rows, classes, asked, notes)
    train = division.rows("train")
    start = [0.0] * len(values) if target is None else target.start(train)
    preparation: dict[str, Any] = {
        "format": 1,
        "reading": {"arrays": arrays.names, "layout": "sequences", "class_names": arrays.class_names},
        "inputs": _fitted(path, x[train], length[train]),
        "target": {"task": "sequence", "values": values} if target is None else target.fitted(train),
        "split": division.packed(),
    }
    arguments = {"channels": x.shape[2], "outputs": len(start), "each_step": each_step, "start": start}
    preparation["model"] = {"name": SequenceGRU.__name__, "arguments": arguments}
    return opened_problem(
        path,
        asked,
        kind="sequences",
        parts=parts_of_arrays(path, preparation),
        model=SequenceGRU,
        preparation=preparation,
        task="sequence" if target is None else target.task,
        division=division,
        notes=notes,
        labels=tuple(map(str, values)) if target is None else target.class_names(),
        ignore_index=PADDED if each_step else None,
        again=opened if arrays.official is None else None,
    )


def _lengths(path: Path, arrays: Arrays) -> NDArray[np.int64]:
    """The steps of each sequence, checked to lie within it."""
    x, name = arrays.held["x"], arrays.names["x"][0]
    if x.ndim != 3:
        raise RefusedError(
            f"{path}: sequences have the shape (examples, steps, channels), {name} has {x.shape}; one channel is a 1 at its end"
        )
    length = lengths_of(arrays.held)
    wrong = np.flatnonzero((length < 1) | (length > x.shape[1]))
    if len(wrong):
        row = int(wrong[0])
        what = "is padding alone" if length[row] == 0 else f"has the length {length[row]}"
        raise RefusedError(
            f"{path}: sequence {row:,} {what} ({len(wrong):,} such in all); a length is 1 to {x.shape[1]} steps; drop it or mend it"
        )
    return length


def _step_classes(path: Path, arrays: Arrays, length: NDArray[np.int64], asked: Asked, notes: list[str]) -> list[float]:
    """The classes that the steps of sequences have, padding apart."""
    if asked.task not in (None, "sequence"):
        raise UsageError(f"{path}: {arrays.names['y'][0]} has a class for every step, which is the task sequence, got {asked.task!r}")
    check_metric(asked.metric, "sequence")
    check_classes(path, arrays, target_name(asked.target))
    y = arrays.held["y"]
    there = np.arange(y.shape[1]) < length[:, None]
    trained = there if arrays.official is None else there & (arrays.official == 0)[:, None]
    values: list[float] = np.unique(y[trained]).tolist()
    unseen = sorted(set(np.unique(y[there]).tolist()) - set(values))
    if unseen or len(values) < 2:
        what = f"class {unseen[0]} occurs outside of train alone" if unseen else f"all steps are of one class, {values[0]}"
        raise RefusedError(f"{path}: {what}; there must be training steps of every class, and of two at least")
    notes.append(f"task: sequence, a class of {len(values)} for every step; padding is passed over")
    return values


def _divided(arrays: Arrays, rows: NDArray[np.bool_], classes: NDArray[Any] | None, asked: Asked, notes: list[str]) -> Division:
    """The parts of the sequences; those of a group, or equal ones, stay in one part."""
    x = arrays.held["x"]
    if asked.group is not None:
        groups = np.unique(arrays.held["group"].reshape(len(x), -1)[:, 0], return_inverse=True)[1].astype(np.int64)
        notes.append(f"sequences with the same {asked.group} stay in one part ({len(np.unique(groups)):,} groups)")
    else:
        groups = duplicate_groups(x.reshape(len(x), -1))
    division = divide(rows, seed=asked.seed, labels=classes, groups=groups, order=None, official=arrays.official)
    notes += division.notes
    return division


def _fitted(path: Path, steps: NDArray[Any], length: NDArray[np.int64]) -> dict[str, list[float]]:
    """Mean and deviation of each channel over the steps that there are."""
    there = steps[np.arange(steps.shape[1]) < length[:, None]].astype(np.float64)
    deviation = there.std(axis=0)
    if not deviation.any():
        raise RefusedError(f"{path}: every channel has one value only in all training sequences, so there is nothing to tell apart")
    return {"mean": there.mean(axis=0).tolist(), "deviation": np.where(deviation > 0, deviation, 1.0).tolist()}
