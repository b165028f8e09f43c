"""What regrets 0 and 1 mean on a recorded task."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from records import AUDIT, TaskRecords

CLEARLY = 5.0  # standard errors; with fewer a single training's luck, which is what is picked, is a large part of the gap


@dataclass(frozen=True)
class Scale:
    """What 0 and 1 mean on one task."""

    reference: float
    default: float
    error: float  # standard error of their difference

    @property
    def shown(self) -> bool:
        return self.default - self.reference > 2 * self.error

    @property
    def clear(self) -> bool:
        """Whether the gap is so wide that luck hardly moves a regret."""
        return self.default - self.reference > CLEARLY * self.error

    def regret(self, audit: float) -> float:
        return (audit - self.reference) / (self.default - self.reference)


def scale(task: TaskRecords) -> Scale:
    base = task.default[:, AUDIT]
    base = base[np.isfinite(base)]
    again = task.reference
    error = math.hypot(base.std(ddof=1) / math.sqrt(len(base)), again.std(ddof=1) / math.sqrt(len(again)))
    return Scale(float(again.mean()), float(base.mean()), error)
