"""From arrays of images to a Problem: which layout they have, and whether their classes are what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError
from fallline._problem import Problem
from fallline.doors._arrays import EXPECTED, Arrays, arrays_of, target_name
from fallline.doors._asked import Asked
from fallline.doors._pixels import image_problem, image_target
from fallline.doors._prepare_arrays import channels_first, parts_of_arrays
from fallline.metrics import resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    arrays = arrays_of(path, target=asked.target)
    layout = layout_of(path, arrays)
    name = target_name(asked.target)
    check_classes(path, arrays, name)
    target = image_target(arrays.held["y"], arrays.class_names, asked, name)
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


def check_classes(path: Path, arrays: Arrays, name: str) -> None:
    """Refuse class numbers that have no name, and classes of the official test set that training never sees."""
    y, names = arrays.held["y"], arrays.class_names
    if y.ndim > 1 and y.shape[1:] != (1,) and y.ndim != 2:
        raise RefusedError(
            f"{path}: {arrays.names['y'][0]} has shape {y.shape}, images have shape {arrays.held['x'].shape}; a mask has the height and "
            f"width of its image, a class is one number an image"
        )
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
