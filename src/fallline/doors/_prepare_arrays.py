"""How arrays of a `.npz` file become tensors: images, masks and sequences; the same code in the doors and in exported scripts.

It stands alone (numpy, polars, torch), because `export --to script` copies it by its source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch

from fallline.doors._prepare import in_parts, targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

PADDED = -100  # what stands in a target where a sequence is over; torch's losses pass over it


def read_arrays(path: Any, names: dict[str, list[str]]) -> dict[str, NDArray[Any]]:
    """The arrays by their role; those of the official parts of one role one after another. A pickle is never loaded."""
    with np.load(path, allow_pickle=False) as file:
        return {role: np.concatenate([file[name] for name in parts]) for role, parts in names.items()}


def channels_first(pixels: NDArray[Any], layout: str) -> torch.Tensor:
    """Pixels as (images, channels, height, width), uint8 as they are."""
    if layout == "grey":
        pixels = pixels[:, None]
    elif layout == "channels last":
        pixels = pixels.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(pixels))


def of_values(array: NDArray[Any], values: list[float], *, whole: bool) -> torch.Tensor:
    """Each element as the index of its value, in the shape of the array: int64, or float32 where the task says yes or no."""
    found = np.zeros(array.shape, dtype=np.int64 if whole else np.float32)
    for index, value in enumerate(values):
        found[array == value] = index
    return torch.from_numpy(found)


def target_frame(array: NDArray[Any], class_names: list[str]) -> pl.DataFrame:
    """A target as the columns of a table: class names in place of numbers where there are some."""
    if class_names and array.ndim == 1:
        return pl.DataFrame({"y": np.asarray(class_names, dtype=object)[array.astype(np.int64)].tolist()})
    columns = array.reshape(len(array), -1)
    return pl.DataFrame({"y" if columns.shape[1] == 1 else f"y_{number}": column for number, column in enumerate(columns.T)})


def standardised(steps: NDArray[Any], length: NDArray[Any], inputs: dict[str, Any]) -> torch.Tensor:
    """Sequences (rows, steps, channels) by the mean and deviation of the training rows; zero where a sequence is over."""
    values = (steps - np.asarray(inputs["mean"])) / np.asarray(inputs["deviation"])
    values[np.arange(steps.shape[1]) >= length[:, None]] = 0.0
    return torch.from_numpy(values.astype(np.float32))


def array_inputs(arrays: dict[str, NDArray[Any]], preparation: dict[str, Any]) -> Any:
    """What the model is given: images as uint8, or sequences with the length of each."""
    if preparation["reading"]["layout"] != "sequences":
        return channels_first(arrays["x"], preparation["reading"]["layout"])
    length = lengths_of(arrays)
    return standardised(arrays["x"], length, preparation["inputs"]), torch.from_numpy(length)


def lengths_of(arrays: dict[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The steps of each sequence; all of them where no length was given."""
    given = arrays.get("length", np.full(len(arrays["x"]), arrays["x"].shape[1]))
    return given.reshape(-1).astype(np.int64)


def array_targets(arrays: dict[str, NDArray[Any]], preparation: dict[str, Any]) -> torch.Tensor:
    """What is to be predicted: one value or class an example, a mask, or a class a step of a sequence."""
    spec = preparation["target"]
    if "values" not in spec:
        return targets(target_frame(arrays["y"], preparation["reading"]["class_names"]), preparation)
    found = of_values(arrays["y"], spec["values"], whole=spec["task"] == "sequence")
    if preparation["reading"]["layout"] == "sequences":
        found[torch.arange(found.shape[1]) >= torch.from_numpy(lengths_of(arrays))[:, None]] = PADDED
    return found


def parts_of_arrays(path: Any, preparation: dict[str, Any]) -> dict[str, tuple[Any, torch.Tensor]]:
    """Train, valid and audit of the file that the preparation was fitted on, their examples in the order of the file."""
    arrays = read_arrays(path, preparation["reading"]["arrays"])
    return in_parts(array_inputs(arrays, preparation), array_targets(arrays, preparation), preparation)
