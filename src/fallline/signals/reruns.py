"""Reruns: the first part of the training again, with one thing changed: what the change does to the loss names the cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window, trace

if TYPE_CHECKING:
    from torch import nn

    from fallline.signals._setup import Made, Setup

SHARE = 0.6  # of the time for training, for all reruns together
EACH = 0.15  # of it, for one rerun at most
FEW = 10  # updates below which a comparison says nothing


@dataclass(frozen=True, kw_only=True)
class Rerun:
    """The loss on the same training examples before and after so many updates, in eval mode."""

    updates: int
    start: float
    end: float
    finite: bool
    made: Made | None = None

    @property
    def gain(self) -> float:
        """How far the loss fell; minus infinity where it is not finite."""
        return self.start - self.end if self.finite and math.isfinite(self.end) else -math.inf


@dataclass
class Reruns:
    """Runs are made when they are asked for, each once."""

    setup: Setup
    updates: int  # of each run
    _known: dict[str, Rerun] = field(default_factory=dict)

    def of(self, name: str, change: Callable[[Made], object] | None = None, *, setup: Setup | None = None, updates: int = 0) -> Rerun:
        """The run with `change` made to its parts, or of another set-up; "" is the user's own.

        Raises:
            Unavailable: the time is over, or the run raised.
        """
        key = f"{name}@{updates}" if updates else name
        if key not in self._known:
            left = self.setup.left(SHARE)
            if left <= 0:
                raise Unavailable("the time for trying changes is over; give a longer run_for")
            self._known[key] = run(setup or self.setup, change, updates or self.updates, left)
        return self._known[key]

    def own(self) -> Rerun:
        return self.of("")

    def lr(self, factor: float, updates: int = 0) -> Rerun:
        """With all learning rates multiplied."""
        return self.of(f"lr x {factor:g}", lambda made: scale_lr(made, factor), updates=updates)


def scale_lr(made: Made, factor: float) -> None:
    """Multiply the lr of all groups, and what schedulers remember of it."""
    assert made.optimizer is not None
    for group in made.optimizer.param_groups:
        for key in ("lr", "initial_lr", "max_lr", "min_lr"):
            if isinstance(group.get(key), float):
                group[key] *= factor
    for scheduler in (made.scheduler, *getattr(made.scheduler, "_schedulers", ())):
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs = [value * factor for value in scheduler.base_lrs]


def set_options(made: Made, **options: float) -> None:
    assert made.optimizer is not None
    for group in made.optimizer.param_groups:
        group.update({key: value for key, value in options.items() if key in group})


def run(setup: Setup, change: Callable[[Made], object] | None, updates: int, seconds: float) -> Rerun:
    from fallline.signals._drive import drive

    made = setup.make()
    if change is not None:
        change(made)
    start = setup.loss_on(made)
    driven = drive(setup, made, updates, seconds)
    if driven.raised:
        raise Unavailable(driven.raised)
    end = setup.loss_on(made)
    return Rerun(updates=driven.updates, start=start, end=end, finite=driven.finite and math.isfinite(end), made=made)


def measure(window: Window) -> Reruns:
    setup, seen = window.setup, window.read(trace.ENTRY)
    if seen.run.raised and seen.run.updates < FEW:
        raise Unavailable(seen.run.raised)
    left = setup.run_for * SHARE
    pace = seen.run.seconds / max(seen.run.updates, 1)
    updates = min(seen.length, max(int(EACH * left / max(pace, 1e-6)), FEW))
    if seen.run.updates and not seen.run.finite:
        updates = min(updates, max(4 * seen.run.updates, 100))
    return Reruns(setup=setup, updates=updates)


def changed_inputs(setup: Setup, transform: Callable[[Any], Any]) -> Setup:
    """The set-up with a transformation of its inputs, on all splits."""
    unpack = setup.unpack

    def theirs(batch: Any) -> Any:
        inputs, target = unpack(batch)
        return transform(inputs), target

    return _with_unpack(setup, theirs)


def changed_targets(setup: Setup, transform: Callable[[Any], Any]) -> Setup:
    unpack = setup.unpack

    def theirs(batch: Any) -> Any:
        inputs, target = unpack(batch)
        return inputs, transform(target)

    return _with_unpack(setup, theirs)


def _with_unpack(setup: Setup, unpack: Callable[[Any], Any]) -> Setup:
    if setup.problem.loop is not None:
        raise Unavailable("batches go to the user's own loop, where they cannot be changed on the way")
    return setup.varied(unpack=unpack)


def default_weights(model: nn.Module, only: Sequence[str] = ()) -> int:
    """Draw the weights of all layers that know how anew; gives how many did."""
    drawn = 0
    for path, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset) and (not only or path in only):
            reset()
            drawn += 1
    return drawn


ENTRY = Signal(name="reruns", title="Training again with one thing changed", cost="steps", measure=measure)
