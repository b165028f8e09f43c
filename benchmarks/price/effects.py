"""What the records say of each choice by itself: optimizer, learning rate, schedule, clip, weight decay, averaging, loss.

Run: python benchmarks/price/effects.py
Regret: 0 = the best recorded recipe of a task, 1 = AdamW's default, cut at 2; a mean over tasks, with the standard error over tasks. Draws
within a block of the space are independent, so the mean over all recipes that share a choice compares choices fairly, if not sharply; but
what only the first block has (exponential and step, shrinkage 0.03, RMSprop) was tried at lrs that lie farther off.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prior import known as portfolio_of
from records import TaskRecords, load

from fallline._portfolio import Portfolio

Floats = NDArray[np.float64]
ROUGHLY = 0.1  # regret that is called no loss: a tenth of what there is to gain
DECADES = ((0, 1e-3), (1e-3, 3e-3), (3e-3, 1e-2), (1e-2, 3e-2), (3e-2, 1.0))


@dataclass(frozen=True)
class Table:
    """Heads and rows of a table in the guide."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def markdown(self) -> str:
        lines = [f"| {' | '.join(self.heads)} |", f"|{'---|' * len(self.heads)}", *(f"| {' | '.join(row)} |" for row in self.rows)]
        return "\n".join(lines)


def shown(values: Sequence[float] | Floats) -> str:
    """A mean over tasks with its standard error."""
    there = np.asarray([value for value in values if np.isfinite(value)], dtype=float)
    if len(there) < 2:
        return f"{there[0]:.2f}" if len(there) else "-"
    return f"{there.mean():.2f} ± {there.std(ddof=1) / np.sqrt(len(there)):.2f}"


def plain_rows(records: Mapping[str, TaskRecords]) -> dict[int, dict[str, Any]]:
    """The recipes with the first loss that were recorded on every task, by their place."""
    rows = next(iter(records.values())).rows
    return {k: row for k, row in enumerate(rows) if row["loss"] == 0 and all(task.recorded[k] for task in records.values())}


def optimizers(records: Mapping[str, TaskRecords], known: Portfolio) -> Table:
    """The set-up of each optimizer that is best on the other tasks, as it does on a task; and the best of it in hindsight."""
    rows = plain_rows(records)
    found = []
    for name in dict.fromkeys(row["optimizer"]["name"] for row in rows.values()):
        mine = [k for k, row in rows.items() if row["optimizer"]["name"] == name]
        if len(mine) < 2:
            continue
        regret = known.regret[:, mine]
        others = [regret[[other for other in range(len(regret)) if other != task]].mean(axis=0) for task in range(len(regret))]
        unseen = [float(regret[task, int(np.argmin(mean))]) for task, mean in enumerate(others)]
        cost = f"{np.median(known.cost[:, mine]):.1f}"
        found.append((float(np.mean(unseen)), (name, str(len(mine)), shown(unseen), shown(regret.min(axis=1)), cost)))
    heads = ("optimizer", "set-ups", "its best set-up elsewhere", "its best in hindsight", "time of a step, in AdamW's")
    return Table(heads, [row for _, row in sorted(found)])


def grouped(records: Mapping[str, TaskRecords], known: Portfolio, head: str, group_of: Callable[[dict[str, Any]], str | None]) -> Table:
    """Mean regret of all recipes with the first loss that share a choice."""
    rows = plain_rows(records)
    groups: dict[str, list[int]] = {}
    for k, row in rows.items():
        group = group_of(row)
        if group is not None:
            groups.setdefault(group, []).append(k)
    found = [
        (group, str(len(ks)), shown(known.regret[:, ks].mean(axis=1)), shown(known.regret[:, ks].min(axis=1)))
        for group, ks in groups.items()
    ]
    return Table((head, "set-ups", "mean", "best of them"), sorted(found, key=lambda row: row[2]))


def rates(records: Mapping[str, TaskRecords], known: Portfolio, optimizer: str) -> Table:
    """Mean regret by learning rate, for each kind of model."""
    mine = [k for k, row in plain_rows(records).items() if row["optimizer"]["name"] == optimizer]
    lrs = np.array([[task.lr_of(k) for k in mine] for task in records.values()])  # (tasks, set-ups)
    kinds, found = np.array(_kinds(known)), []
    for low, high in DECADES:
        inside = (low <= lrs) & (lrs < high)
        regret = np.where(inside, known.regret[:, mine], np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # no set-up within: NaN, which `shown` leaves out
            means = np.nanmean(regret, axis=1)
        if inside.any():
            cells = [shown(means[kinds == kind]) for kind in sorted(set(kinds))]
            found.append((f"{low:g} to {high:g}", f"{inside.sum() / len(inside):.1f}", *cells, shown(means)))
    return Table(("lr", "set-ups a task", *sorted(set(kinds)), "all"), found)


def losses(records: Mapping[str, TaskRecords], known: Portfolio) -> Table:
    """Each loss of each task against the plain one, over the set-ups trained with both: regret of the loss minus the plain's."""
    found = []
    for number, (name, task) in enumerate(records.items()):
        names = [loss for loss, _ in task.facts["losses"]]
        plain = task.facts["plain_loss"]
        if plain not in names:
            continue
        place_of = {(row["name"], row["loss"]): k for k, row in enumerate(task.rows) if task.recorded[k]}
        setups = {row["name"] for row in task.rows if row["loss"] > 0}
        for place, loss in enumerate(names):
            if loss == plain:
                continue
            apart = [
                known.regret[number, place_of[setup, place]] - known.regret[number, place_of[setup, names.index(plain)]]
                for setup in setups
                if (setup, place) in place_of and (setup, names.index(plain)) in place_of
            ]
            settings = task.facts["losses"][place][1]
            told = f"{loss} ({', '.join(f'{key} {value:g}' for key, value in settings.items())})" if settings else loss
            found.append((name, task.facts["metrics"][0], plain, told, shown(apart)))
    return Table(("task", "metric", "plain loss", "another", "regret against the plain one"), found)


def averaging(records: Mapping[str, TaskRecords], known: Portfolio) -> Table:
    """Averaged weights against raw ones of the same training, by schedule."""
    rows = plain_rows(records)
    found, total = [], len(next(iter(records.values())).rows)
    for schedule in sorted({row["schedule"]["name"] for row in rows.values()}):
        mine = [k for k, row in rows.items() if row["schedule"]["name"] == schedule]
        apart = (known.regret[:, [k + total for k in mine]] - known.regret[:, mine]).mean(axis=1)
        found.append((schedule, str(len(mine)), shown(apart)))
    return Table(("schedule", "set-ups", "regret of averaged minus raw weights"), found)


def tables() -> dict[str, Table]:
    records = load()
    known = portfolio_of(records)
    return {
        "optimizers": optimizers(records, known),
        "rates-adamw": rates(records, known, "adamw"),
        "rates-muon": rates(records, known, "muon"),
        "schedules": grouped(records, known, "schedule", lambda row: str(row["schedule"]["name"])),
        "clips": grouped(records, known, "clip", lambda row: _clip(row.get("clip", {"name": "none"}))),
        "decay": grouped(records, known, "shrinkage", lambda row: f"{row['shrinkage']:g}" if "shrinkage" in row else None),
        "averaging": averaging(records, known),
        "losses": losses(records, known),
    }


def _kinds(known: Portfolio) -> list[str]:
    return [facts.model_kind for facts in known.facts]


def _clip(clip: dict[str, Any]) -> str:
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in clip.values())


def main() -> None:
    for name, table in tables().items():
        print(f"\n{name}\n\n{table.markdown()}")


if __name__ == "__main__":
    main()
