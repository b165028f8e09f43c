"""Engines: what executes trials. One engine a file; `sequential` is the reference that every other must equal lane by lane.

An engine receives trials (a recipe and a seed with a name), advances them to goals and yields one `Measurement` a goal, in the order in
which they are reached. It never names an optimizer. A trial that diverges, runs out of memory, raises, hangs or loses its process is a
measurement with a fault, never an exception. Add a file with `ENTRY = EngineEntry(...)`; `fallline.testing.engines` proves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from fallline._discover import discover
from fallline._errors import unknown
from fallline._recipe import Recipe

if TYPE_CHECKING:
    from torch import nn

    from fallline._bench import Workbench


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
    fault: str = ""  # why the trial cannot go on: "diverged: ...", "out of memory: ...", "raised ...", "hung: ...", "killed: ..."
    looks: tuple[tuple[int, float], ...] = ()  # (step, metric) of every look so far
    ended: bool = False  # the recipe's training is over: its length, or its patience
    halted: bool = False  # stopped short of the goal: no result, but what the way has cost counts
    note: str = ""  # what the engine did otherwise than its name says, and why
    final: float | None = None  # the metric on all of valid at the end, where the engine knows it without the model

    def after(self, earlier: Measurement) -> Measurement:
        """This measurement with what an earlier part of the way to the same goal cost."""
        return replace(
            self,
            train_s=self.train_s + earlier.train_s,
            eval_s=self.eval_s + earlier.eval_s,
            steps=self.steps + earlier.steps,
        )


class Engine(Protocol):
    """Runs trials. `pulse` is called again and again while trials train.

    It may raise a FalllineError to stop the race. Trials then stay where they are, those on their way are yielded as halted measurements,
    with what their ways have cost, and what was raised comes after them.
    """

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

    def close(self) -> None:
        """End whatever the engine started; it is not used again."""
        ...


def _everything(bench: Workbench) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class EngineEntry:
    """One way to execute trials: what users call it, where it cannot serve, and how it is opened."""

    name: str
    title: str
    open: Callable[[Workbench, int], Engine]  # (what all trials share, lanes)
    refuses: Callable[[Workbench], str] = _everything  # why it cannot run this problem on this machine; "" when it can
    exact: bool = True  # equals the reference bit for bit at the same number of threads
    processes: bool = False  # each lane is a process: it multiplies memory, and may be killed
    grace_s: float = 0.0  # what it may take until all lanes stand still when time is over


def all_engines() -> dict[str, EngineEntry]:
    return discover("fallline.engines", EngineEntry)


def engine_entry(name: str) -> EngineEntry:
    """The engine of that name; an unknown one is refused with the nearest."""
    found = all_engines()
    if name not in found:
        raise unknown("engine", name, ["auto", *found])
    return found[name]
