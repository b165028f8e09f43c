"""Engines: what executes trials. One engine a file; `sequential` is the reference that every other must equal lane by lane.

An engine receives trials (a recipe and a seed with a name), advances them to goals and yields one `Measurement` a goal. It never names
an optimizer. A trial that diverges, runs out of memory, raises or hangs is a measurement with a fault, never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from fallline._recipe import Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Trial:
    """One candidate at one seed. `parent` names the trial whose state at step `leaves` it starts from."""

    name: str
    recipe: Recipe
    shadow_decay: float | None = None
    parent: str | None = None
    leaves: int = 0

    def reseeded(self, seed: int) -> Trial:
        """The same candidate at another seed."""
        return replace(self, name=f"{self.name}@{seed}", recipe=replace(self.recipe, seed=seed), parent=None, leaves=0)


@dataclass(frozen=True)
class Goal:
    """Advance a trial until it has made `until` updates."""

    trial: Trial
    until: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one trial gave when it reached a goal, or where it stopped short of it."""

    trial: str
    step: int
    value: float | None = None  # the metric that the rung compares; None with a fault
    loss: float | None = None  # training loss of the last step; comparable within one loss only
    train_s: float = 0.0  # seconds in training steps since the last measurement
    eval_s: float = 0.0  # seconds in evaluation since the last measurement
    steps: int = 0  # updates made since the last measurement
    fault: str = ""  # why the trial cannot go on: "diverged: ...", "out of memory: ...", "raised: ..."
    looks: tuple[tuple[int, float], ...] = ()  # (step, metric) of every look so far
    ended: bool = False  # the recipe's training is over: its length, or its patience


class Engine(Protocol):
    """Runs trials. `pulse` is called every few training steps and may raise to stop the race; the trial then stays where it is."""

    name: str
    lanes: int

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]: ...

    def state(self, trial: str) -> dict[str, Any]:
        """The full state of a trial, to be written to disk."""
        ...

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        """Take over a trial from a state: after a pause, or as a child of another trial."""
        ...

    def final(self, trial: str) -> nn.Module:
        """The trained model that the trial's recipe hands back."""
        ...

    def drop(self, trial: str) -> None:
        """Forget a trial and free what it holds."""
        ...

    def holds(self, trial: str) -> bool: ...
