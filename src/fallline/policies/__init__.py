"""Policies: who goes on at a rung. One policy a file; each decides from the standings of all trials there, and knows nothing else."""

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
