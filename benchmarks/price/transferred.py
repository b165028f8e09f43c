"""How the best lr moves with batch size, width and length, as transfer.py recorded it in transfer.json.

Run: python benchmarks/price/transferred.py
The best lr is the vertex of a parabola through the least loss of the grid and its two neighbours, over log lr.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FILE = Path(__file__).with_name("transfer.json")
OF_MEDIAN = 1.4826 * math.sqrt(math.pi / 2)  # its standard error in median absolute deviations over sqrt(n), for normal values
BATCH = 64  # where the width or the length changes
WIDTHS = {
    "california": (32, 128, 512),
    "letter": (32, 128, 256),
    "fashion": (6, 12, 48),
    "names_gru": (16, 48, 144),
}  # the middle one where the batch or the length does
EPOCHS = {
    "california": (2, 10, 40),
    "letter": (2, 8, 32),
    "fashion": (1, 5, 20),
    "names_gru": (1, 5, 20),
}  # the middle one where the batch or the width does, shorter than in the records: a batch of 16 takes many steps

Cell = Mapping[str, Any]  # task, optimizer, batch, width, epochs, lr, fan_in (as Profile has it), steps, reached


def known() -> list[Cell]:
    return list(json.loads(FILE.read_text(encoding="utf-8")))


def best_lr(lrs: Floats, losses: Floats) -> float:
    """log10 of the best lr; NaN where the least loss lies at an end of the grid."""
    there = np.where(np.isfinite(losses), losses, np.inf)
    least = int(np.argmin(there))
    if not 0 < least < len(lrs) - 1:
        return math.nan
    x, y = np.log10(lrs[least - 1 : least + 2]), there[least - 1 : least + 2]
    if not np.isfinite(y).all():
        return float(x[1])  # beyond it diverges
    curve = np.polyfit(x, y, 2)
    return float(np.clip(-curve[1] / (2 * curve[0]), x[0], x[2]))


def best(cells: Sequence[Cell], what: str) -> Iterator[tuple[str, str, dict[float, float]]]:
    """(optimizer, task, log10 of the best lr by size), where the batch, the width or the length changes and the others are the middle ones.

    The size of a width is the fan-in of the network, which is what a profile knows; that of a length its steps.
    """
    for optimizer, task in sorted({(cell["optimizer"], cell["task"]) for cell in cells}):
        usual = {"batch": BATCH, "width": WIDTHS[task][1], "epochs": EPOCHS[task][1]} | {"optimizer": optimizer, "task": task}
        changes, measure = {"batch": ("batch", "batch"), "width": ("width", "fan_in"), "length": ("epochs", "steps")}[what]
        mine = [cell for cell in cells if all(cell[key] == value for key, value in usual.items() if key != changes)]
        found: dict[float, float] = {}
        for size in sorted({cell[measure] for cell in mine}):
            rows = sorted((cell["lr"], cell["reached"]) for cell in mine if cell[measure] == size)
            found[size] = best_lr(*(np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)))
        if len(found) > 1:
            yield optimizer, task, found


def slope(sizes: Mapping[float, float]) -> float:
    """The power of the size that the best lr goes with; NaN where fewer than two are known."""
    there = [(math.log10(size), lr) for size, lr in sizes.items() if math.isfinite(lr)]
    return float(np.polyfit(*zip(*there, strict=True), 1)[0]) if len(there) > 1 else math.nan


def exponents(cells: Sequence[Cell], what: str) -> dict[str, tuple[float, float]]:
    """(median over tasks, its standard error by absolute deviations) of each optimizer's slopes: one task lies far off."""
    slopes: dict[str, list[float]] = {}
    for optimizer, _, sizes in best(cells, what):
        slopes.setdefault(optimizer, []).append(slope(sizes))
    found = {}
    for optimizer, some in slopes.items():
        held = np.array([one for one in some if math.isfinite(one)])
        if len(held) > 1:
            found[optimizer] = (float(np.median(held)), OF_MEDIAN * float(np.median(np.abs(held - np.median(held)))) / math.sqrt(len(held)))
    return found


def main() -> None:
    cells = known()
    for what, size in (("batch", "batch"), ("width", "fan-in"), ("length", "steps")):
        print(f"\n| optimizer | task | best lr at each {size} | power of {size} |\n|---|---|---|---|")
        for optimizer, task, sizes in best(cells, what):
            said = ", ".join(f"{size:,.4g}: {f'{10**lr:.2g}' if math.isfinite(lr) else 'at an end'}" for size, lr in sizes.items())
            print(f"| {optimizer} | {task} | {said} | {slope(sizes):.2f} |")
        for optimizer, (median, error) in exponents(cells, what).items():
            print(f"| {optimizer} | median | | {median:.2f} ± {error:.2f} |")


if __name__ == "__main__":
    main()
