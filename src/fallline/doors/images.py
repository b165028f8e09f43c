"""Door for images in arrays: a `.npz` with `x_train` and `y_train` (and `x_test`, `y_test`), into a Problem with a small ResNet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_images(path: Path, asked: Asked) -> Problem:
    """Images with a class, a label or a number each.

    Args:
        path: a `.npz` with `x_train` (uint8; images, height, width and perhaps channels) and `y_train`; `x_test` and `y_test` are the
            official test set and report, `x_valid` and `y_valid` decide; without endings, `x` and `y`, all is split. `class_names` names
            the classes. A pickle is never loaded.

    Asked:
        target: other arrays in place of `y`: "count" reads `count_train` and `count_test`.
        metric, direction, epochs, batch_size: as in `Problem`.
        task: multiclass, binary, regression, count or multilabel, where the target alone would say something else.
        positive: the positive class of a binary target.
        seed: draws the split.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._images import opened  # loads torch, which asking for doors must not

    return opened(path, asked)


ENTRY = Door(
    name="images",
    title="images in arrays",
    suffixes=(".npz",),
    open=open_images,
    takes=("target", "positive"),
    parts="fallline.doors._prepare_arrays:parts_of_arrays",
)
