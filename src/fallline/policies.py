"""Policies: who goes on at a rung. The first and so far only policy keeps the best few and spares those that cannot be judged yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Decision(Enum):
    """What becomes of a trial at a rung. A paused trial can go on later; a stopped one has lost its state."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"


@dataclass(frozen=True)
class Standing:
    """How a trial stands at a rung: `value` is to be minimised; None when it has a fault."""

    trial: str
    value: float | None
    family: str = ""
    peaks_later: bool = False  # its lr has not peaked yet, so this rung cannot judge it fully


class Policy(Protocol):
    """Decides from the standings of all trials at one rung."""

    def decide(self, standings: Sequence[Standing]) -> dict[str, Decision]: ...


@dataclass(frozen=True)
class KeepBest:
    """The best `count` go on, and so does an unpeaked one in the better half where `spare` allows; faults stop, the rest pause."""

    count: int
    spare: bool = False

    def decide(self, standings: Sequence[Standing]) -> dict[str, Decision]:
        alive = sorted((s for s in standings if s.value is not None), key=lambda s: (s.value, s.trial))
        going = {standing.trial for standing in alive[: self.count]}
        if self.spare:
            going |= {standing.trial for standing in alive[: (len(alive) + 1) // 2] if standing.peaks_later}
        return {
            standing.trial: Decision.STOP if standing.value is None else Decision.CONTINUE if standing.trial in going else Decision.PAUSE
            for standing in standings
        }
