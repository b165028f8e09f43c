"""A lane: the trials that one process holds, advanced one at a time. Every engine that trains in the reference's way uses this code."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from fallline._bench import Diverged, Workbench
from fallline._errors import FalllineError
from fallline._loop import LoopTraining
from fallline._step import Training, start
from fallline.engines import Goal, Measurement, Trial


class Halted(Exception):
    """A pulse raises it to take the lane away from a trial; the trial stays where it is and can go on elsewhere."""


class Lane:
    """Trials in this process, one at a time. What the user's code raises becomes a measurement with a fault."""

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._held: dict[str, Training | LoopTraining] = {}

    def run(self, goal: Goal, pulse: Callable[[], None]) -> Measurement:
        """Bring a trial to its goal, or to where it fails or is halted. Whatever else `pulse` raises passes through."""
        trial, fault, value, halted = goal.trial, "", None, False
        began = time.perf_counter()
        training: Training | LoopTraining | None = None
        before = 0.0
        first = 0
        try:
            training = self.training(trial)
            first, before = training.step, training.eval_s
            training.advance(goal.until, pulse)
            value, fault = standing(training)
        except FalllineError:
            raise
        except Halted:
            halted = True
        except Diverged as error:
            fault = f"diverged: {error}"
        except torch.OutOfMemoryError as error:
            fault = f"out of memory: {str(error).splitlines()[0]}"
        except MemoryError:
            fault = "out of memory"
        except Exception as error:  # whatever the user's model, loss or loop raises is a result, not the end of the race
            fault = told(error)
        seconds = time.perf_counter() - began
        if training is None:
            return Measurement(trial=trial.name, step=0, fault=fault, halted=halted, train_s=seconds)
        evaluated = training.eval_s - before
        reached = measured(trial.name, training, value, fault)
        return replace(reached, train_s=seconds - evaluated, eval_s=evaluated, steps=training.step - first, halted=halted)

    def reach(self, goal: Goal, pulse: Callable[[], None]) -> Iterator[Measurement]:
        """As `run`; where `pulse` stops the race, what the way has cost so far comes first, and then what it raised."""
        stop: FalllineError | None = None

        def watched() -> None:
            nonlocal stop
            try:
                pulse()
            except FalllineError as error:
                stop = error
                raise Halted from error

        yield self.run(goal, watched)
        if stop is not None:
            raise stop

    def training(self, trial: Trial) -> Training | LoopTraining:
        if trial.name not in self._held:
            self._held[trial.name] = fresh(self.bench, trial)
        return self._held[trial.name]

    def state(self, trial: str) -> dict[str, Any]:
        return self._held[trial].state()

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        training = fresh(self.bench, trial)
        training.restore(state)
        self._held[trial.name] = training

    def final(self, trial: str) -> nn.Module:
        return self._held[trial].final()

    def drop(self, trial: str) -> None:
        self._held.pop(trial, None)

    def holds(self, trial: str) -> bool:
        return trial in self._held

    def step(self, trial: str) -> int:
        """Updates that a trial has made; 0 before it is there."""
        return self._held[trial].step if trial in self._held else 0


def measured(trial: str, training: Training | LoopTraining, value: float | None, fault: str) -> Measurement:
    """A trial as it stands; what the way there cost is not in it."""
    looks = tuple((look.step, look.value) for look in training.looks)
    return Measurement(
        trial=trial, step=training.step, value=value, loss=training.last_loss, fault=fault, ended=training.ended, looks=looks
    )


def standing(training: Training | LoopTraining) -> tuple[float | None, str]:
    """(value that a rung compares, fault): a value that is not finite is a fault."""
    value = training.standing()
    if math.isfinite(value):
        return value, ""
    return None, f"diverged: the metric became {value} by step {training.step}"


def fresh(bench: Workbench, trial: Trial) -> Training | LoopTraining:
    """A trial before its first step: initial weights follow from its seed."""
    if bench.problem.loop is not None:
        return LoopTraining.start(bench, trial.recipe)
    return start(bench, trial.recipe, trial.shadow_decay)


def told(error: Exception) -> str:
    """A fault's reason: torch says on a CPU that memory is short in a plain RuntimeError."""
    first = (str(error).splitlines() or [""])[0]
    if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
        return f"out of memory: {first}"
    return f"raised {type(error).__name__}: {error}"
