"""Longer: what the watched run would still have gained, had it gone on to three times its length at the learning rate that it had."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fallline.signals import Signal, Unavailable, Window, trace

TIMES = 3
SHARE = 0.25  # of the time for training
PAST = 1.5  # times the least loss on the way: the best has long been passed, and more of the same is not wanted


@dataclass(frozen=True, kw_only=True)
class Longer:
    """The loss on valid where there is a split, else on training examples."""

    start: float
    end: float  # of the training
    later: float  # at the best look of the continuation
    updates: int
    on_valid: bool

    @property
    def done(self) -> float:
        return max(self.start - self.end, 0.0)

    @property
    def further(self) -> float:
        return self.end - self.later


def measure(window: Window) -> Longer:
    from fallline.signals._drive import drive

    setup, seen = window.setup, window.read(trace.ENTRY)
    if not seen.whole or not seen.run.finite or seen.made.optimizer is None:
        raise Unavailable("the watched run did not come to its end")
    on_valid = seen.looks[0].valid is not None
    curve = [(look.valid if look.valid is not None else look.train) for look in seen.looks]
    start, end = curve[0], min(curve[-1], curve[-2] if len(curve) > 1 else curve[-1])
    if not math.isfinite(end) or end > PAST * min(curve) > 0:
        return Longer(start=start, end=end, later=end, updates=seen.run.updates, on_valid=on_valid)
    groups = seen.made.optimizer.param_groups
    peak = max(float(group.get("initial_lr", group["lr"])) for group in groups)
    if max(float(group["lr"]) for group in groups) < 0.5 * peak:
        raise Unavailable("the schedule has annealed the learning rate; a longer training would have another schedule")
    made = setup.make()
    best = end
    every = max((TIMES * seen.length) // 30, 1)

    def look(update: int) -> None:
        nonlocal best
        if update > seen.length and update % every == 0:
            best = min(best, setup.loss_on(made, "valid" if on_valid else "train"))

    if made.scheduler is not None and setup.problem.loop is None:
        made.scheduler = None

    on = setup.varied(epochs=TIMES * setup.epochs)
    run = drive(on, made, TIMES * seen.length, setup.left(SHARE), look)
    if run.updates < 1.5 * seen.length:
        raise Unavailable("the time is over before a longer training shows; give a longer run_for")
    return Longer(start=start, end=end, later=best, updates=run.updates, on_valid=on_valid)


ENTRY = Signal(name="longer", title="The watched run continued", cost="steps", measure=measure)
