"""Door for a folder of images: one sub-folder a class, decoded with Pillow, into a Problem with a small ResNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_image_folder(path: Path, asked: Asked) -> Problem:
    """Images in a folder, each in the sub-folder of its class.

    Args:
        path: the folder. Where its sub-folders are called train and test (and valid), they are the official split, with the classes below
            them. Images are read at their median size, at most 64 pixels a side.

    Asked:
        metric, direction, epochs, batch_size: as in `Problem`.
        task: binary or multiclass, where there are two classes.
        positive: the positive class of two.
        seed: draws the split.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._image_folder import opened  # loads torch, which asking for doors must not

    return opened(path, asked)


ENTRY = Door(
    name="image_folder",
    title="images, one sub-folder a class",
    suffixes=("/",),
    open=open_image_folder,
    takes=("positive",),
    parts="fallline.doors._prepare_folder:parts_of_folder",
)
