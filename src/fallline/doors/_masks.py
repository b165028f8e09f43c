"""From arrays of images and masks to a Problem: whether they fit each other, and which values the masks have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError, UsageError
from fallline.doors._arrays import arrays_of, first_of, shapes_of, target_name
from fallline.doors._asked import Asked
from fallline.doors._images import layout_of
from fallline.doors._opened import opened_problem
from fallline.doors._pixels import divided, pixel_facts
from fallline.doors._prepare_arrays import channels_first, parts_of_arrays
from fallline.doors._task import check_metric
from fallline.doors.models.unet import SmallUNet
from fallline.metrics import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fallline._problem import Problem

MOST_CLASSES = 50  # more values than that are grey levels rather than classes
BATCH = 8  # images a step: the positions of a few images are thousands of examples
UPDATES = 800  # of a full training, for the same reason fewer than images with one class each are given; never fewer than 5 passes


def claims(path: Path, given: Mapping[str, Any]) -> bool:
    """Whether a file holds images and a mask each: targets of three dimensions or more beside images."""
    shapes = shapes_of(path)
    x, y = first_of(shapes, "x"), first_of(shapes, target_name(given.get("target")))
    return x is not None and y is not None and len(x[0]) >= 3 and len(y[0]) >= 3


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    arrays = arrays_of(path, target=asked.target)
    layout = layout_of(path, arrays)
    pixels, masks = channels_first(arrays.held["x"], layout).numpy(), arrays.held["y"]
    if masks.shape[1:] not in (pixels.shape[2:], (*pixels.shape[2:], 1)):
        raise RefusedError(
            f"{path}: images are {pixels.shape[2]} x {pixels.shape[3]} pixels, masks {' x '.join(map(str, masks.shape[1:]))}; "
            f"a mask has the height and width of its image"
        )
    division = divided(pixels, np.ones(len(pixels), dtype=np.bool_), None, arrays.official, asked)
    train = division.rows("train")
    values = _values(path, masks, train)
    task = "binary" if len(values) == 2 else "sequence"
    if asked.task not in (None, task):
        raise UsageError(f"masks of {len(values)} values are the task {task} at every position, got {asked.task!r}; leave task out")
    check_metric(asked.metric, task)
    shares = np.array([float((masks[train] == value).mean()) for value in values])
    start = [float(np.log(shares[1] / shares[0]))] if task == "binary" else np.log(shares).tolist()
    mean, deviation = pixel_facts(pixels, train)
    arguments = {"channels": pixels.shape[1], "outputs": len(start), "mean": mean, "deviation": deviation, "start": start}
    preparation: dict[str, Any] = {
        "format": 1,
        "reading": {"arrays": arrays.names, "layout": layout, "class_names": arrays.class_names},
        "target": {"task": task, "values": values},
        "split": division.packed(),
        "model": {"name": SmallUNet.__name__, "arguments": arguments},
    }
    size = min(BATCH, len(train))
    said = ", ".join(f"{value:g} at {share:.1%} of the positions" for value, share in zip(values, shares, strict=True))
    meant = f"{values[1]:g} is the mask" if task == "binary" else f"{len(values)} classes"
    shape = f"images: {len(pixels):,} of {pixels.shape[2]} x {pixels.shape[3]} pixels, each with a mask: {said}; {meant}"
    return opened_problem(
        path,
        asked,
        kind="masks",
        parts=parts_of_arrays(path, preparation),
        model=SmallUNet,
        preparation=preparation,
        task=task,
        division=division,
        notes=[shape, *arrays.notes, *division.notes],
        labels=tuple(arrays.class_names) or tuple(f"{value:g}" for value in values),
        metric="iou",
        epochs=float(max(round(UPDATES * size / len(train)), 5)),
        batch_size=size,
        again=opened if arrays.official is None else None,
    )


def _values(path: Path, masks: NDArray[Any], train: NDArray[np.int64]) -> list[float]:
    """The values of the masks in order; what is greater counts as the mask where there are two."""
    values: list[float] = np.unique(masks[train]).tolist()
    unseen = sorted(set(np.unique(masks).tolist()) - set(values))
    if len(values) < 2:
        raise RefusedError(f"{path}: all training masks hold {values[0]:g} everywhere, so there is nothing to tell apart; check the masks")
    if len(values) + len(unseen) > MOST_CLASSES:
        raise RefusedError(
            f"{path}: masks hold {len(values)} different values, which are no classes; write 0 and 1 (or a class number) at each position"
        )
    if unseen:
        raise RefusedError(f"{path}: no training mask holds the value {unseen[0]:g}, but another mask does; add some, or drop it there")
    return values
