"""From arrays of images to a Problem: which layout their pixels have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fallline._errors import RefusedError
from fallline._problem import Problem
from fallline.doors._arrays import EXPECTED, Arrays, array_target, arrays_of
from fallline.doors._asked import Asked
from fallline.doors._pixels import image_problem
from fallline.doors._prepare_arrays import channels_first, parts_of_arrays
from fallline.metrics import resolve

CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    arrays = arrays_of(path, target=asked.target)
    layout = layout_of(path, arrays)
    y = arrays.held["y"]
    if y.ndim > 2:
        raise RefusedError(
            f"{path}: {arrays.names['y'][0]} has shape {y.shape}, images have shape {arrays.held['x'].shape}; a mask has the height and "
            f"width of its image, a class is one number an image"
        )
    target = array_target(path, arrays, asked)
    return image_problem(
        path,
        asked,
        kind="images",
        pixels=channels_first(arrays.held["x"], layout).numpy(),
        target=target,
        official=arrays.official,
        reading={"arrays": arrays.names, "layout": layout, "class_names": arrays.class_names},
        notes=arrays.notes,
        parts=parts_of_arrays,
        again=opened,
    )


def layout_of(path: Path, arrays: Arrays) -> str:
    """ "grey" (images, height, width), "channels last" or "channels first"; refuses what are no pixels."""
    x, name = arrays.held["x"], arrays.names["x"][0]
    if x.ndim not in (3, 4):
        raise RefusedError(f"{path}: {name} has shape {x.shape}, which is neither images nor sequences; expected are {EXPECTED}")
    if x.dtype != np.uint8:
        raise RefusedError(
            f"{path}: images must be uint8 pixels from 0 to 255, {name} is {x.dtype} from {x.min():g} to {x.max():g}; "
            f"scale them and save (255 * x).astype(numpy.uint8), or the like"
        )
    if x.ndim == 3:
        return "grey"
    if x.shape[3] in CHANNELS:
        return "channels last"
    if x.shape[1] in CHANNELS:
        return "channels first"
    raise RefusedError(f"{path}: {name} has shape {x.shape}; its last (or second) dimension should be 1, 3 or 4 channels")
