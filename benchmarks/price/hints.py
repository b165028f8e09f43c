"""When a hint at a loss was right: the losses of each recorded task against its plain one, in the same set-ups.

Run: python benchmarks/price/hints.py
Seven set-ups were recorded with five losses each. A cell is the mean over them of (audit with this loss - audit with the plain one), in
shares of what lies between AdamW's default and the best recorded, with its standard error; below zero the loss helps. A star marks the loss
that profile and metric put first when the records were made; what has been ahead since is in the entries' `ahead_for`. No race picks here,
so nothing is won by trying often.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from records import AUDIT, TaskRecords, load


@dataclass(frozen=True)
class Effect:
    """What a loss does on one task, against the plain one."""

    loss: str
    first: bool  # of the ranking
    settings: str  # where a loss was recorded with several: what is unlike its defaults
    mean: float
    error: float

    def __str__(self) -> str:
        star = "*" if self.first else ""
        return f"{self.loss}{self.settings}{star} {self.mean:+.2f} ± {self.error:.2f}"


def effects(task: TaskRecords) -> list[Effect]:
    """The recorded losses of a task but the plain one, in the order of the ranking."""
    losses = [(name, settings) for name, settings in task.facts["losses"]]
    plain = next(place for place, (name, _) in enumerate(losses) if name == task.facts["plain_loss"])
    place_of = {(row["name"], row["loss"]): place for place, row in enumerate(task.rows)}
    setups = [name for name, place in place_of if place == 1]
    gap = float(np.nanmean(task.default[:, AUDIT]) - np.nanmin(task.finals[:, AUDIT]))
    found = []
    for number, (name, settings) in enumerate(losses):
        if number == plain:
            continue
        pairs = [(task.finals[place_of[setup, number], AUDIT], task.finals[place_of[setup, plain], AUDIT]) for setup in setups]
        shares = np.array([(mine - theirs) / gap for mine, theirs in pairs if np.isfinite(mine) and np.isfinite(theirs)])
        told = f" ({', '.join(f'{key} {value:g}' for key, value in settings.items())})" if settings else ""
        found.append(Effect(name, number == 0, told, float(shares.mean()), float(shares.std(ddof=1) / np.sqrt(len(shares)))))
    return found


def main() -> None:
    print("| task | metric | plain | against it, in the order of the ranking |\n|---|---|---|---|")
    for name, task in load().items():
        first = " (put first)" if task.facts["losses"][0][0] == task.facts["plain_loss"] else ""
        print(f"| {name} | {task.facts['metrics'][0]} | {task.facts['plain_loss']}{first} | {', '.join(map(str, effects(task)))} |")


if __name__ == "__main__":
    main()
