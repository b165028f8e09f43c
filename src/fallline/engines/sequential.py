"""The sequential engine: one trial after another in this process. The reference for all others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from fallline._bench import Diverged, Workbench
from fallline._errors import FalllineError
from fallline._loop import LoopTraining
from fallline._step import Training, start
from fallline.engines import Goal, Measurement, Trial


class Sequential:
    """Trials in this process, one at a time. It cannot kill a trial that hangs."""

    name = "sequential"
    lanes = 1

    def __init__(self, bench: Workbench) -> None:
        self.bench = bench
        self._held: dict[str, Training | LoopTraining] = {}

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        for goal in goals:
            yield self._advance_one(goal, pulse)

    def _advance_one(self, goal: Goal, pulse: Callable[[], None]) -> Measurement:
        trial, fault, value = goal.trial, "", None
        began = time.perf_counter()
        training: Training | LoopTraining | None = None
        before = evaluated = 0.0
        first = 0
        try:
            training = self._training(trial)
            first, before = training.step, training.eval_s
            training.advance(goal.until, pulse)
            value = training.standing()
            if not math.isfinite(value):
                fault, value = f"diverged: the metric became {value} by step {training.step}", None
        except FalllineError:
            raise
        except Diverged as error:
            fault = f"diverged: {error}"
        except torch.OutOfMemoryError as error:
            fault = f"out of memory: {str(error).splitlines()[0]}"
        except MemoryError:
            fault = "out of memory"
        except Exception as error:  # whatever the user's model, loss or loop raises is a result, not the end of the race
            fault = f"raised {type(error).__name__}: {error}"
        seconds = time.perf_counter() - began
        if training is None:
            return Measurement(trial=trial.name, step=0, fault=fault, train_s=seconds)
        evaluated = training.eval_s - before
        return Measurement(
            trial=trial.name, step=training.step, value=value, loss=training.last_loss, train_s=seconds - evaluated,
            eval_s=evaluated, steps=training.step - first, fault=fault, ended=training.ended,
            looks=tuple((look.step, look.value) for look in training.looks),
        )  # fmt: skip

    def _training(self, trial: Trial) -> Training | LoopTraining:
        if trial.name not in self._held:
            self._held[trial.name] = self._fresh(trial)
        return self._held[trial.name]

    def _fresh(self, trial: Trial) -> Training | LoopTraining:
        if self.bench.problem.loop is not None:
            return LoopTraining.start(self.bench, trial.recipe)
        return start(self.bench, trial.recipe, trial.shadow_decay)

    def state(self, trial: str) -> dict[str, Any]:
        return self._held[trial].state()

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        training = self._fresh(trial)
        training.restore(state)
        self._held[trial.name] = training

    def final(self, trial: str) -> nn.Module:
        return self._held[trial].final()

    def drop(self, trial: str) -> None:
        self._held.pop(trial, None)

    def holds(self, trial: str) -> bool:
        return trial in self._held
