"""Pixels: what is fitted on the training images, and the problem that images with a class or a value each make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError
from fallline._problem import Problem
from fallline._splits import duplicate_groups
from fallline.doors._asked import Asked
from fallline.doors._opened import opened_problem
from fallline.doors._rows import Division, divide
from fallline.doors.models.resnet import SmallResNet

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fallline.doors._target import Target

SMALL_SIDE = 40  # pixels up to which the stem keeps the resolution; above it the first stage would cost four times as much
FEWEST_SIDE = 8  # pixels: three halvings leave one
BATCH = 1_000  # images summed at once: float64 sums of a whole set would take eight times its memory


def pixel_facts(pixels: NDArray[Any], rows: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel of (images, channels, height, width), on the scale from 0 to 1."""
    total = np.zeros((2, pixels.shape[1]))
    for start in range(0, len(rows), BATCH):
        part = pixels[rows[start : start + BATCH]].astype(np.float64) / 255
        total += np.stack([part.sum(axis=(0, 2, 3)), (part**2).sum(axis=(0, 2, 3))])
    count = len(rows) * pixels.shape[2] * pixels.shape[3]
    mean = total[0] / count
    deviation = np.sqrt(np.maximum(total[1] / count - mean**2, 0.0))
    return mean.tolist(), np.where(deviation > 0, deviation, 1.0).tolist()  # a channel that never changes, as transparency may not


def divided(
    pixels: NDArray[Any], rows: NDArray[np.bool_], labels: NDArray[Any] | None, official: NDArray[np.int64] | None, asked: Asked
) -> Division:
    """The parts of the images; equal images stay in one part."""
    groups = duplicate_groups(pixels.reshape(len(pixels), -1))
    repeated = len(groups) - len(np.unique(groups))
    division = divide(rows, seed=asked.seed, labels=labels, groups=groups if repeated else None, order=None, official=official)
    if not repeated:
        return division
    said = "1 image equals another" if repeated == 1 else f"{repeated:,} images equal another"
    note = f"{said}; equal images stay in one part" if official is None else f"{said}, across the official split too"
    return Division(part=division.part, groups=division.groups, notes=(note, *division.notes))


def image_problem(
    path: Path,
    asked: Asked,
    *,
    kind: str,
    pixels: NDArray[Any],
    target: Target,
    official: NDArray[np.int64] | None,
    reading: dict[str, Any],
    notes: list[str],
    parts: Callable[[Path, dict[str, Any]], dict[str, Any]],
    again: Callable[[Path, Asked], Problem],
) -> Problem:
    """Images (images, channels, height, width) with one value or class each, as a problem with `SmallResNet`."""
    height, width = pixels.shape[2:]
    if min(height, width) < FEWEST_SIDE:
        raise RefusedError(f"{path}: images are {height} x {width} pixels, at least {FEWEST_SIDE} a side are needed")
    classes = target.classes
    division = divided(pixels, target.rows, classes, official, asked)
    train = division.rows("train")
    mean, deviation = pixel_facts(pixels, train)
    start = target.start(train)
    arguments = {
        "channels": pixels.shape[1], "outputs": len(start), "mean": mean, "deviation": deviation,
        "stride": 1 if max(height, width) <= SMALL_SIDE else 2, "start": start,
    }  # fmt: skip
    preparation = {
        "format": 1,
        "reading": reading,
        "target": target.fitted(train),
        "split": division.packed(),
        "model": {"name": SmallResNet.__name__, "arguments": arguments},
    }
    shape = f"images: {len(pixels):,} of {height} x {width} pixels, {pixels.shape[1]} channel{'s' if pixels.shape[1] > 1 else ''}"
    return opened_problem(
        path,
        asked,
        kind=kind,
        parts=parts(path, preparation),
        model=SmallResNet,
        preparation=preparation,
        task=target.task,
        division=division,
        notes=[shape, *notes, *target.notes, *division.notes],
        labels=target.class_names(),
        again=again if official is None else None,
    )
