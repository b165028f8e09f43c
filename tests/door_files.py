"""Small files of every kind that a door opens, seeded, for the tests of the doors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Drawn = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def pixels(count: int, side: int = 12, classes: int = 3, seed: int = 0) -> Drawn:
    """Grey noise images with a brighter band, and the number of the band."""
    random = np.random.default_rng(seed)
    y = random.integers(0, classes, count).astype(np.uint8)
    x = (random.random((count, side, side)) * 120).astype(np.uint8)
    band = side // classes
    for image, number in zip(x, y, strict=True):
        image[number * band : (number + 1) * band] += 60
    return x, y


def images(folder: Path, **more: Any) -> Path:
    """300 images to train and 100 to test; `more` are further arrays, or others in their place (None leaves one out)."""
    x, y = pixels(400)
    arrays = {"x_train": x[:300], "y_train": y[:300], "x_test": x[300:], "y_test": y[300:], **more}
    np.savez_compressed(folder / "images.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "images.npz"


def image_folder(folder: Path, *, parts: tuple[str, ...] = ("",), each: int = 40) -> Path:
    """PNG images below a folder for each of three classes, in each of the parts."""
    from PIL import Image

    for number, part in enumerate(parts):
        x, y = pixels(3 * each, seed=number)
        for row, (image, band) in enumerate(zip(x, y, strict=True)):
            inner = folder / "pictures" / part / f"band{band}"
            inner.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(inner / f"{row:03}.png")
    return folder / "pictures"


def sentences(count: int = 400, seed: int = 0) -> list[tuple[str, str]]:
    """(text, topic): a few words about weather or about food, numbered so that hardly two are equal."""
    random = np.random.default_rng(seed)
    words = {"weather": ["rain", "Sun", "wind", "cloud"], "food": ["bread", "Soup", "rice", "tea"]}
    made = []
    for number in range(count):
        topic = ("weather", "food")[int(random.integers(2))]
        chosen = random.choice(words[topic], 2)
        made.append((f"Today {chosen[0]} and {chosen[1]}, says no. {number % 350}!", topic))
    return made


def text(folder: Path, rows: list[tuple[str, ...]] | None = None, header: str = "text,topic") -> Path:
    """A table of texts; values are put in quotation marks."""
    rows = rows or sentences()
    lines = [header, *(",".join(f'"{value}"' for value in row) for row in rows)]
    (folder / "texts.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "texts.csv"


def series(folder: Path, rows: list[tuple[Any, ...]] | None = None, header: str = "day,load,heat") -> Path:
    """Two series by the day, with a season of a week."""
    random = np.random.default_rng(0)
    days = np.datetime64("2020-01-01") + np.arange(300)
    made = [(day, f"{100 + 10 * (row % 7) + random.normal():.3f}", f"{-3 + row % 7 * 0.1:.3f}") for row, day in enumerate(days)]
    lines = [header, *(",".join(map(str, row)) for row in (made if rows is None else rows))]
    (folder / "series.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "series.csv"


FILES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "images": (images, {}),
    "image_folder": (image_folder, {}),
    "text": (text, {"target": "topic"}),
    "series": (series, {"time": "day", "horizon": 3}),
}
