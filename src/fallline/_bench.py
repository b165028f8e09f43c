"""The workbench: what all trials of a problem share, and how any of them is looked at."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fallline._batches import INIT, stream
from fallline._data import Data
from fallline._judge import Judge, link_of, predict
from fallline._problem import Problem, call
from fallline._recipe import Recipe

if TYPE_CHECKING:
    from torch.optim.lr_scheduler import ReduceLROnPlateau


class Diverged(Exception):
    """The loss or the metric is no longer a finite number."""


@dataclass
class Look:
    """The metric on the looked-at part of valid after `step` updates."""

    step: int
    value: float


def step_plateau(scheduler: ReduceLROnPlateau, value: float, sign: float) -> None:
    """Tell the user's own plateau scheduler the metric in the direction it reads: mode "min" would cut lr whenever an accuracy rises."""
    scheduler.step(value if (scheduler.mode == "min") == (sign > 0) else -value)


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """What all trials of a problem share: data, judge, device, and which examples of valid are looked at during training."""

    problem: Problem
    data: Data
    judge: Judge
    device: torch.device
    look_rows: Tensor | None = None  # None: all of valid
    _targets: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def look(self, model: nn.Module, recipe: Recipe) -> float:
        """The metric on the looked-at examples of valid."""
        outputs, targets = predict(model, self.data.sweep("valid", self.device, self.look_rows))
        return self.judge.value(outputs, targets, link_of(recipe, self.problem))

    def outputs(self, model: nn.Module, split: str) -> tuple[Tensor, Tensor]:
        """All outputs and targets of a split."""
        outputs, targets = predict(model, self.data.sweep(split, self.device))
        self._targets[split] = targets
        return outputs, targets

    def targets(self, split: str) -> Tensor:
        """All targets of a split; read once, since a Dataset may take long to give them."""
        if split not in self._targets:
            self._targets[split] = self.data.targets(split)
        return self._targets[split]


def materialise(model: nn.Module, bench: Workbench, seed: int) -> None:
    """Run one batch through a model with lazy layers, so that its parameters exist before the optimizer reads them."""
    if not any(isinstance(parameter, nn.parameter.UninitializedParameter) for parameter in model.parameters()):
        return
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, INIT))
        for inputs, _ in bench.data.sweep("train", bench.device, torch.arange(2)):
            call(model, inputs)


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context in which a forward pass runs."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    if precision == "16":
        return torch.autocast(device.type, torch.float16)
    return contextlib.nullcontext()
