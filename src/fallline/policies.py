"""Policies: who goes on at a rung. The first and so far only one keeps the best few, with a seat for one that cannot be judged yet."""

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
    """The best `count` go on; faults stop, the rest pause.

    Where two or more go on and none of them is unpeaked, the last seat is the best unpeaked one's: a recipe whose lr is still rising
    looks worse than it is (measured: docs/architecture.md).
    """

    count: int

    def decide(self, standings: Sequence[Standing]) -> dict[str, Decision]:
        alive = sorted((s for s in standings if s.value is not None), key=lambda s: (s.value, s.trial))
        seats = alive[: self.count]
        unpeaked = [standing for standing in alive if standing.peaks_later]
        if len(seats) > 1 and unpeaked and not any(standing.peaks_later for standing in seats):
            seats[-1] = unpeaked[0]
        going = {standing.trial for standing in seats}

        def decision(standing: Standing) -> Decision:
            if standing.value is None:
                return Decision.STOP
            return Decision.CONTINUE if standing.trial in going else Decision.PAUSE

        return {standing.trial: decision(standing) for standing in standings}
