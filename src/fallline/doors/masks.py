"""Door for masks in arrays: a `.npz` with images and a mask for each, into a Problem with a small U-Net."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_masks(path: Path, asked: Asked) -> Problem:
    """Images with a mask each: which positions belong to what is looked for, or the class of every position.

    Args:
        path: a `.npz` with `x_train` (uint8; images, height, width and perhaps channels) and `y_train` (images, height, width), and the
            test arrays as for images. Masks of two values say no and yes, of more the class. A pickle is never loaded.

    Asked:
        target: other arrays in place of `y`.
        metric, direction, epochs, batch_size: as in `Problem`; left out, intersection over union, and batches of 8 images.
        task: binary or sequence (a class at every position), if anything.
        seed: draws the split.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._masks import opened  # loads torch, which asking for doors must not

    return opened(path, asked)


def _claims(path: Path, given: Mapping[str, Any]) -> bool:
    from fallline.doors._masks import claims

    return claims(path, given)


ENTRY = Door(
    name="masks",
    title="images with masks in arrays",
    suffixes=(".npz",),
    open=open_masks,
    takes=("target",),
    claims=_claims,
    parts="fallline.doors._prepare_arrays:parts_of_arrays",
)
