"""From a folder of images to a Problem: which sub-folders are classes or official parts, and how large the images are read."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fallline._errors import RefusedError, UsageError
from fallline._problem import Problem
from fallline.doors._arrays import class_target
from fallline.doors._asked import Asked
from fallline.doors._pixels import image_problem
from fallline.doors._rows import OFFICIAL
from fallline.metrics import resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST_SIDE = 64  # pixels to which larger images are reduced: what a small network and a CPU can use
# what each mode of Pillow is read as: grey, colour, or either with transparency
READ_AS = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "RGB": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "RGBA": "RGBA",
    "PA": "RGBA",
}
SAID = {"L": "grey", "LA": "grey with transparency", "RGB": "colour", "RGBA": "colour with transparency"}


def opened(folder: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    inner = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not inner:
        raise UsageError(
            f"{folder} is a folder without sub-folders; a folder of images has one sub-folder a class; to open a file, name it"
        )
    _check_pillow()
    from fallline.doors._prepare_folder import ENDINGS, listed_images, parts_of_folder

    parts = inner if _official(inner) else [""]
    images = listed_images(folder, parts)
    if not images:
        raise RefusedError(f"{folder} has sub-folders ({', '.join(inner[:6])}) but no image ({', '.join(ENDINGS)}) in them")
    classes = sorted({name for _, name, _ in images})
    if len(classes) < 2:
        raise RefusedError(
            f"{folder} has images of one class only, {classes[0]!r}, so there is nothing to tell apart; put each class into a sub-folder"
        )
    trained = {name for part, name, _ in images if OFFICIAL.get(part.lower(), 0) == 0}
    if len(trained) < len(classes):
        raise RefusedError(
            f"no training image is of class {', '.join(sorted(set(classes) - trained)[:6])}, but other parts hold some; add some"
        )
    height, width, mode, notes = _reading(folder, [path for _, _, path in images])
    official: NDArray[np.int64] | None = None
    if parts != [""]:
        official = np.array([OFFICIAL[part.lower()] for part, _, _ in images])
        notes.append(f"the folders {', '.join(parts)} are the official split; test reports (audit)")
    frame = pl.DataFrame({"class": [name for _, name, _ in images]})
    target = class_target(frame, asked, classes=len(classes))
    reading = {"parts": parts, "mode": mode, "height": height, "width": width}
    pixels = _decoded([path for _, _, path in images], reading)
    return image_problem(
        folder,
        asked,
        kind="image_folder",
        pixels=pixels,
        target=target,
        official=official,
        reading=reading,
        notes=notes,
        parts=parts_of_folder,
        again=opened,
    )


def _check_pillow() -> None:
    if find_spec("PIL") is None:
        raise UsageError("a folder of images is decoded with Pillow, which is not installed; install it: pip install 'fallline[images]'")


def _official(names: list[str]) -> bool:
    """Whether the sub-folders are parts, train and test at least, rather than classes."""
    codes = {OFFICIAL.get(name.lower()) for name in names}
    return None not in codes and {0, 2} <= codes


def _reading(folder: Path, paths: list[Path]) -> tuple[int, int, str, list[str]]:
    """Height, width and mode in which all images are read; the size is the median one, reduced to LONGEST_SIDE."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    sizes: list[tuple[int, int]] = []
    modes: dict[str, list[Path]] = {}
    for path in paths:
        try:
            with Image.open(path) as image:
                turned = ImageOps.exif_transpose(image) if image.getexif() else image
                sizes.append(turned.size)
                mode = image.mode
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise RefusedError(_corrupt(path, error)) from error
        if mode not in READ_AS:
            raise RefusedError(f"{path} has pixels of a kind that is not read ({mode}, such as 16 bits); save it as 8-bit grey or colour")
        modes.setdefault(READ_AS[mode], []).append(path)
    if len(modes) > 1:
        kinds = ", ".join(f"{len(some):,} {SAID[mode]} (first {some[0].relative_to(folder)})" for mode, some in modes.items())
        raise RefusedError(
            f"{folder} mixes images of different channels: {kinds}; convert them to one kind, in Pillow: Image.open(path).convert('RGB')"
        )
    width, height = (int(side) for side in np.median(np.array(sizes), axis=0))
    factor = min(LONGEST_SIDE / max(width, height), 1.0)
    height, width = max(round(height * factor), 1), max(round(width * factor), 1)
    (mode,) = modes
    common = Counter(sizes).most_common(1)[0][0]
    all_alike = len(set(sizes)) == 1
    was = (
        f"all are {common[0]} x {common[1]}" if all_alike else f"they have {len(set(sizes)):,} sizes, most often {common[0]} x {common[1]}"
    )
    notes = [] if all_alike and factor == 1.0 else [f"images are resized to {width} x {height} (width x height; {was})"]
    return height, width, mode, notes


def _decoded(paths: list[Path], reading: dict[str, Any]) -> NDArray[np.uint8]:
    """All images, as (images, channels, height, width); one that is damaged is named."""
    from fallline.doors._prepare_folder import decoded

    made = []
    for path in paths:
        try:
            made.append(decoded(path, reading["mode"], reading["height"], reading["width"]))
        except (OSError, SyntaxError, ValueError) as error:
            raise RefusedError(_corrupt(path, error)) from error
    return np.ascontiguousarray(np.stack(made).transpose(0, 3, 1, 2))


def _corrupt(path: Path, error: BaseException) -> str:
    return f"{path} cannot be decoded as an image: {error}; replace or remove it"
