"""What a peer had at each price, on the records."""

from __future__ import annotations

import math

from records import AUDIT, TaskRecords


class Curve:
    """What a peer had at each price: (price, audit of what it would hand back)."""

    def __init__(self, task: TaskRecords) -> None:
        self.task, self.spent = task, 0.0
        self.best_ended, self.best_any = (math.inf, math.nan), (math.inf, math.nan)
        self.points: list[tuple[float, float]] = []

    def seen(self, recipe: int, share: float) -> None:
        valid = self.task.at(recipe, share)
        if not math.isfinite(valid):
            return
        audit = self.task.at(recipe, share, AUDIT)
        self.best_any = min(self.best_any, (valid, audit))
        if share >= 1:
            self.best_ended = min(self.best_ended, (valid, audit))

    def mark(self) -> None:
        best = self.best_ended if math.isfinite(self.best_ended[0]) else self.best_any
        self.points.append((self.spent, best[1]))

    def at(self, price: float) -> float:
        """The audit value of what was had for a price; NaN before anything was."""
        had = [audit for spent, audit in self.points if spent <= price + 1e-9]
        return had[-1] if had else math.nan
