"""Trace: the watched run: a copy of the set-up trained as the user trains it, for the whole length where the time allows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from fallline.signals._drive import Driven
    from fallline.signals._setup import Made
    from fallline.signals._watcher import Events

SHARE = 0.4  # of the time for training: the rest is for runs with one thing changed
LOOKS = 24  # at train and valid during the run: few enough to cost little, enough for a curve
LONGEST = 20_000  # updates: what a small model does in some ten seconds


@dataclass(frozen=True, kw_only=True)
class Look:
    """The loss on fixed examples, in eval mode."""

    update: int
    train: float
    valid: float | None


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What was seen of the run."""

    run: Driven
    events: Events
    looks: tuple[Look, ...]
    made: Made  # as the run left it
    before: dict[str, Any]  # parameters by name, as they were
    length: int  # of the whole training, in updates
    first_bad: str = ""  # where the first value was found that is not finite, in words
    groups: tuple[dict[str, Any], ...] = field(default=())

    @property
    def whole(self) -> bool:
        """Whether the run went to the end of the training."""
        return self.run.updates >= self.length

    @property
    def start(self) -> float:
        return self.looks[0].train

    @property
    def end(self) -> float:
        return self.looks[-1].train

    @property
    def diverged(self) -> bool:
        """Whether the loss is not finite, or ends well above where it began."""
        if not self.looks:
            return not self.run.finite
        values = [look.train for look in self.looks]
        if not self.run.finite or not all(math.isfinite(value) for value in values):
            return True
        worst = max(self.looks, key=lambda look: look.train).train
        return self.end > self.start + 0.5 * abs(self.start) and self.end > 0.2 * worst


def measure(window: Window) -> Trace:
    from fallline.signals._drive import drive
    from fallline.signals._watcher import Watcher

    setup = window.setup
    if setup.run_for <= 0:
        raise Unavailable("no time was given for a watched run")
    made = setup.make()
    if made.optimizer is None:
        raise Unavailable("there is no optimizer")
    if not any(parameter.requires_grad for parameter in made.model.parameters()):
        raise Unavailable("no parameter is trainable, so that nothing can be run")
    length = setup.length
    updates = min(length, LONGEST)
    before = {name: parameter.detach().clone() for name, parameter in made.model.named_parameters()}
    looks: list[Look] = []
    every = max(updates // LOOKS, 1)
    splits = ("train", "valid") if setup.valid is not None else ("train",)

    def look(update: int) -> None:
        values = [setup.loss_on(made, split) for split in splits]
        looks.append(Look(update=update, train=values[0], valid=values[1] if len(values) > 1 else None))

    bad: list[str] = []

    def each(update: int) -> None:
        if update % every == 0 or update in (1, 2, 5):
            look(update)
        if not bad and (update <= 50 or update % 10 == 0):
            bad.extend(_not_finite(made, update))

    look(0)
    watcher = Watcher(made.model, made.optimizer, lambda update: update < 400 or update % 10 == 0, deep=True)
    try:
        run = drive(setup, made, updates, setup.left(SHARE), each)
    finally:
        watcher.close()
    if not looks or looks[-1].update != run.updates:
        look(run.updates)
    groups = tuple({key: value for key, value in group.items() if key != "params"} for group in made.optimizer.param_groups)
    return Trace(
        run=run, events=watcher.events, looks=tuple(looks), made=made, before=before, length=length,
        first_bad=bad[0] if bad else "", groups=groups,
    )  # fmt: skip


def _not_finite(made: Made, update: int) -> list[str]:
    import torch

    for name, parameter in made.model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return [f"{name} after update {update}"]
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return [f"the gradient of {name} at update {update}"]
    return []


ENTRY = Signal(name="trace", title="The watched run", cost="steps", measure=measure)
