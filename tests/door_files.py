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


def sequences(folder: Path, **more: Any) -> Path:
    """60 sequences of two channels, which rise or fall, zero padded to 12 steps."""
    random = np.random.default_rng(0)
    length, y = random.integers(4, 13, 60), random.integers(0, 2, 60).astype(np.uint8)
    steps = np.arange(12)
    x = np.stack([(2.0 * y[:, None] - 1) * steps, random.normal(size=(60, 12))], axis=2)
    x[steps >= length[:, None]] = 0
    arrays = {"x": x.astype(np.float32), "y": y, "length": length, "group": np.arange(60) // 6, **more}
    np.savez(folder / "sequences.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "sequences.npz"


def masks(folder: Path, **more: Any) -> Path:
    """40 images of 12 x 16 with a bright square, and the mask of the square."""
    random = np.random.default_rng(0)
    x = random.integers(0, 100, (40, 12, 16)).astype(np.uint8)
    y = np.zeros_like(x)
    for number in range(40):
        row, column = random.integers(0, 8), random.integers(0, 12)
        y[number, row : row + 4, column : column + 4] = 255
    arrays = {"x_train": np.where(y > 0, x + 100, x).astype(np.uint8), "y_train": y, **more}
    np.savez_compressed(folder / "masks.npz", **{name: array for name, array in arrays.items() if array is not None})
    return folder / "masks.npz"


def language(folder: Path, text: str | None = None) -> Path:
    """Sentences without meaning."""
    random = np.random.default_rng(0)
    words = ["the ", "cat ", "sat ", "on ", "a ", "mat.\n", "Why? "]
    (folder / "running.txt").write_text("".join(random.choice(words, 5_000)) if text is None else text, encoding="utf-8")
    return folder / "running.txt"


FILES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "images": (images, {}),
    "image_folder": (image_folder, {}),
    "text": (text, {"target": "topic"}),
    "series": (series, {"time": "day", "horizon": 3}),
    "sequences": (sequences, {}),
    "masks": (masks, {}),
    "language": (language, {"batch_size": 4}),
}
