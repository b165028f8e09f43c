"""The sequential engine: one trial after another in this process. The reference for all others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fallline._bench import Workbench
from fallline.engines import EngineEntry, Goal, Measurement
from fallline.engines._lane import Lane


class Sequential(Lane):
    """A lane that takes its goals one after another. It cannot kill a trial that hangs."""

    name = "sequential"
    lanes = 1

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        for goal in goals:
            yield from self.reach(goal, pulse)

    def close(self) -> None:
        """Nothing to end: there is no other process."""


def _open(bench: Workbench, lanes: int) -> Sequential:
    return Sequential(bench)


ENTRY = EngineEntry(name="sequential", title="one trial after another, in this process", open=_open)
