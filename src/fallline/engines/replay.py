"""The replay engine: recorded trials with a simulated clock, so that policies are tested in milliseconds and at any size."""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.engines import Goal, Measurement, Trial

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Record:
    """A training as it once went: the metric at some steps, how long a step took, and where it failed, if it did."""

    steps: tuple[int, ...]  # of the looks, rising; the last one is the end
    values: tuple[float, ...]  # the metric at each
    step_s: float = 1.0
    fault: str = ""  # with a reason here the training ends at the last look with this fault

    def __post_init__(self) -> None:
        assert self.steps, "a record needs at least one look"
        assert len(self.steps) == len(self.values), f"{len(self.steps)} steps, {len(self.values)} values"
        assert list(self.steps) == sorted(set(self.steps)), "the steps of a record must rise"


class Replay:
    """Trials that take what is recorded of them. `now` is the simulated time in seconds; `Clock(now=lambda: engine.now)` reads it.

    A lane takes one goal at a time, first come, first served; goals are reached in the order of the simulated time.
    """

    name = "replay"

    def __init__(self, record_of: Callable[[Trial], Record], lanes: int) -> None:
        self.record_of, self.lanes, self.now = record_of, lanes, 0.0
        self._steps: dict[str, int] = {}
        self._trials: dict[str, Trial] = {}

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        free = [self.now] * min(self.lanes, max(len(goals), 1))
        under_way: list[tuple[float, int, Measurement]] = []
        for number, goal in enumerate(goals):
            measurement = self._reached(goal)
            ends = heapq.heappop(free) + measurement.train_s
            heapq.heappush(free, ends)
            under_way.append((ends, number, measurement))
        heapq.heapify(under_way)
        while under_way:
            self.now, number, measurement = heapq.heappop(under_way)
            self._trials[measurement.trial], self._steps[measurement.trial] = goals[number].trial, measurement.step
            yield measurement
            pulse()

    def _reached(self, goal: Goal) -> Measurement:
        record, first = self.record_of(goal.trial), self._steps.get(goal.trial.name, goal.trial.leaves)
        until = min(goal.until, record.steps[-1])
        fault = record.fault if record.fault and until == record.steps[-1] else ""
        count = bisect.bisect_right(record.steps, until)
        value = record.values[count - 1] if count and not fault and math.isfinite(record.values[count - 1]) else None
        ended = until == record.steps[-1]
        return Measurement(
            trial=goal.trial.name, step=until, value=value, train_s=(until - first) * record.step_s, steps=until - first, fault=fault,
            looks=tuple(zip(record.steps[:count], record.values[:count], strict=True)), ended=ended, final=value if ended else None,
        )  # fmt: skip

    def state(self, trial: str) -> dict[str, Any]:
        return {"step": self._steps[trial]}

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        self._trials[trial.name], self._steps[trial.name] = trial, int(state["step"])

    def final(self, trial: str) -> nn.Module:
        raise AssertionError(f"{trial} is a record of a training; its weights were not kept")

    def drop(self, trial: str) -> None:
        self._steps.pop(trial, None)
        self._trials.pop(trial, None)

    def holds(self, trial: str) -> bool:
        return trial in self._steps

    def close(self) -> None:
        """Nothing to end."""
