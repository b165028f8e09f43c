"""How a folder of images becomes tensors: the same code in the door and in exported scripts, which copy it by its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from PIL import Image, ImageOps

from fallline.doors._prepare import in_parts, targets

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def listed_images(folder: Any, parts: list[str]) -> list[tuple[str, str, Path]]:
    """(part, class, path) of every image, in order of their names; `parts` are the folders above the classes, none: [""]."""
    found = []
    for part in parts:
        for inner in sorted(path for path in (Path(folder) / part).iterdir() if path.is_dir() and not path.name.startswith(".")):
            files = sorted(path for path in inner.rglob("*") if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
            found += [(part, inner.name, path) for path in files]
    return found


def decoded(path: Path, mode: str, height: int, width: int) -> NDArray[np.uint8]:
    """One image as uint8 (height, width, channels), turned upright as its camera says."""
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert(mode)
        return np.asarray(upright.resize((width, height), Image.Resampling.BOX)).reshape(height, width, -1)


def parts_of_folder(folder: Any, preparation: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Train, valid and audit of the folder that the preparation was fitted on."""
    reading = preparation["reading"]
    images = listed_images(folder, reading["parts"])
    pixels = np.stack([decoded(path, reading["mode"], reading["height"], reading["width"]) for _, _, path in images])
    inputs = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
    target = targets(pl.DataFrame({"class": [name for _, name, _ in images]}), preparation)
    return in_parts(inputs, target, preparation)
