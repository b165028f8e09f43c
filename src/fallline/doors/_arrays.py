"""Arrays: which arrays of a `.npz` file are inputs, targets and official parts; refuses files that do not hold what they should."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError, UsageError, nearest
from fallline.doors._named import listed
from fallline.doors._prepare_arrays import read_arrays, target_frame
from fallline.doors._target import Target, target_of
from fallline.metrics import named

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from fallline.doors._asked import Asked

SPLITS = {"train": 0, "valid": 1, "val": 1, "test": 2}  # endings of array names that make an official split, and its code
EXPECTED = (
    "x_train and y_train, with x_test and y_test where there is an official test set (x and y where there is none): images as uint8 with "
    "a class each or a mask each, or sequences as float32 (examples, steps, channels) with an array length"
)


@dataclass(frozen=True, kw_only=True)
class Arrays:
    """The arrays of a file by their role, the official parts one after another."""

    names: dict[str, list[str]]  # role -> the arrays that make it up
    held: dict[str, NDArray[Any]]
    official: NDArray[np.int64] | None  # the part of each example, where x_test or x_valid exist
    class_names: list[str]

    @property
    def notes(self) -> list[str]:
        """What is said of an official split."""
        if self.official is None:
            return []
        given = ", ".join(name for name in self.names["x"])
        return [f"the arrays {given} are the official split; test reports (audit)"]


def shapes_of(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """The shape and type of every array, read from headers alone; empty where the file is no sound `.npz`."""
    found: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    try:
        with zipfile.ZipFile(path) as packed:
            for name in packed.namelist():
                with packed.open(name) as file:
                    version = np.lib.format.read_magic(file)
                    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                    shape, _, dtype = read(file)
                found[name.removesuffix(".npy")] = (shape, dtype)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError):
        return {}
    return found


def target_name(given: str | None) -> str:
    """The name of the target arrays before their ending."""
    return "y" if given is None else given.removesuffix("_train")


def first_of(shapes: Mapping[str, Any], role: str) -> tuple[tuple[int, ...], np.dtype[Any]] | None:
    """Shape and type of a role's training array."""
    found: tuple[tuple[int, ...], np.dtype[Any]] | None = shapes.get(f"{role}_train", shapes.get(role))
    return found


def arrays_of(path: Path, *, target: str | None, group: str | None = None, lengths: bool = False) -> Arrays:
    """The arrays of a file, checked to belong together.

    Raises:
        UsageError: no target or group of that name. RefusedError: the file is no sound `.npz` or lacks what it should hold.
    """
    there = _names(path)
    roles = {"x": "x", "y": target_name(target)}
    if lengths and ("length_train" in there or "length" in there):
        roles["length"] = "length"
    if group is not None:
        roles["group"] = group.removesuffix("_train")
    if "x_train" not in there and "x" not in there:
        raise RefusedError(f"{path} holds no array x_train or x, but {listed(sorted(there)) or 'nothing'}; expected are {EXPECTED}")
    endings = [f"_{name}" for name in SPLITS if f"x_{name}" in there] if "x_train" in there else [""]
    names = {}
    for role, name in roles.items():
        names[role] = [f"{name}{ending}" for ending in endings]
        missing = [array for array in names[role] if array not in there]
        if missing:
            raise _lacking(path, role, missing[0], there)
    held = _read(path, names)
    sizes = _sizes(path, names)
    for role, parts in sizes.items():
        for array, rows, beside, wanted in zip(names[role], parts, names["x"], sizes["x"], strict=True):
            if rows != wanted:
                raise RefusedError(f"{path}: {array} holds {rows:,} examples and {beside} {wanted:,}; every example needs one of each")
    if not all(sizes["x"]):
        raise RefusedError(f"{path}: {names['x'][sizes['x'].index(0)]} holds no examples; leave such arrays out, or fill them")
    codes = [SPLITS[ending[1:]] for ending in endings if ending]
    official = np.repeat(codes, sizes["x"]).astype(np.int64) if len(endings) > 1 else None
    class_names = [str(name) for name in _read(path, {"names": ["class_names"]})["names"]] if "class_names" in there else []
    named_by = roles["y"] == "y" and held["y"].dtype.kind in "biu"
    return Arrays(names=names, held=held, official=official, class_names=class_names if named_by else [])


def array_target(path: Path, arrays: Arrays, asked: Asked) -> Target:
    """The target of every example. Whole numbers in `y` are classes, however many there are: that is what such files hold."""
    array, name = arrays.held["y"], target_name(asked.target)
    check_classes(path, arrays, name)
    whole = array.ndim == 1 and array.dtype.kind in "biu" and name == "y"
    return class_target(target_frame(array, arrays.class_names), asked, classes=len(np.unique(array)) if whole else 0)


def class_target(frame: pl.DataFrame, asked: Asked, *, classes: int) -> Target:
    """The target in a frame; `classes` numbers or names that are known to be classes, 0 where that is to be found out."""
    fits = not isinstance(asked.metric, str) or "multiclass" in named(asked.metric).tasks
    known = classes > 2 and fits and asked.task is None
    task = "multiclass" if known else asked.task
    target = target_of(frame, frame.columns, decimal=".", metric=asked.metric, task=task, positive=asked.positive)
    return replace(target, notes=target.notes[1:]) if known else target  # nobody gave a task, and the classes are said anyway


def check_classes(path: Path, arrays: Arrays, name: str) -> None:
    """Refuse class numbers that have no name, and classes of the official test set that training never sees."""
    y, names = arrays.held["y"], arrays.class_names
    if y.ndim != 1 or y.dtype.kind not in "biu" or name != "y":
        return
    if names and (int(y.min()) < 0 or int(y.max()) >= len(names)):
        wrong = int(y.max()) if int(y.max()) >= len(names) else int(y.min())
        raise RefusedError(
            f"{path}: {arrays.names['y'][0]} holds class {wrong}, but class_names has {len(names)} names (0 to {len(names) - 1})"
        )
    unseen = unseen_classes(y, arrays.official)
    if unseen:
        shown = ", ".join(names[value] if names else str(value) for value in unseen[:6])
        raise RefusedError(f"{path}: no training example is of class {shown}, but the test set holds it; add some, or drop it there")


def unseen_classes(y: NDArray[Any], official: NDArray[np.int64] | None) -> list[int]:
    """Values that occur outside of the official training part alone."""
    if official is None:
        return []
    return sorted(set(np.unique(y[official != 0]).tolist()) - set(np.unique(y[official == 0]).tolist()))


def _lacking(path: Path, role: str, name: str, there: list[str]) -> Exception:
    close = nearest(name, there)
    meant = f"did you mean {' or '.join(close)}? " if close and role != "x" else ""
    text = f"{path} holds no array {name}, but {listed(sorted(there))}; {meant}expected are {EXPECTED}"
    return UsageError(text) if role == "group" or (role == "y" and not name.startswith("y")) else RefusedError(text)


def _names(path: Path) -> list[str]:
    if path.stat().st_size == 0:
        raise RefusedError(f"{path} is empty; expected are {EXPECTED}")
    try:
        with open(path, "rb") as whole, np.load(whole, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise RefusedError(f"{path} holds one array, not several by name; save it with np.savez_compressed(path, x=..., y=...)")
            return list(file.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        pickled = "it holds a pickle, which could run any code and is never loaded" if "pickle" in str(error) else "it is no .npz file"
        raise RefusedError(
            f"{path} cannot be read: {pickled}, or it is damaged; save plain arrays with np.savez_compressed(path, x=..., y=...)"
        ) from error


def _read(path: Path, names: dict[str, list[str]]) -> dict[str, NDArray[Any]]:
    try:
        held = read_arrays(path, names)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RefusedError(f"{path} is damaged: {error}; fetch or write it again") from error
    except ValueError as error:
        if "pickle" in str(error) or "Object arrays" in str(error):
            raise RefusedError(
                f"{path} holds Python objects (a pickle), which could run any code and are never loaded; save numbers alone"
            ) from error
        listing = " and ".join(names["x"]) if "x" in names else ""
        raise RefusedError(f"{path}: the arrays of its parts, {listing}, differ in shape ({error}); give them one shape") from error
    for role, array in held.items():
        if array.ndim == 0 or (array.dtype.kind not in "biuf" and role != "names"):
            raise RefusedError(f"{path}: {names[role][0]} must be an array of numbers, got {array.dtype} of shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise RefusedError(f"{path}: {names[role][0]} holds NaN or inf; fill such values or drop the examples")
    return held


def _sizes(path: Path, names: dict[str, list[str]]) -> dict[str, list[int]]:
    shapes = shapes_of(path)
    return {role: [shapes[name][0][0] for name in parts] for role, parts in names.items()}
