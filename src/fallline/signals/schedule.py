"""Schedule: the lr at every update of the whole training, stepped as the user steps it and, for comparison, in the other unit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fallline.signals import Signal, Unavailable, Window, trace

MOST_CALLS = 60_000  # of scheduler.step that are simulated: about a second
KEPT = 2000  # points of a curve
HORIZONS = ("T_max", "total_steps", "total_iters", "step_size", "T_0")  # where torch's schedulers keep theirs


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The largest lr over all groups, thinned to at most `KEPT` updates at equal distances."""

    lr: tuple[float, ...]
    raised: str = ""  # what the scheduler raised, and at which share of the training
    raised_at: float = 1.0

    @property
    def peak(self) -> float:
        return max(self.lr)

    def at(self, share: float) -> float:
        return self.lr[min(int(share * len(self.lr)), len(self.lr) - 1)]

    def share_below(self, factor: float) -> float:
        """Share of the training, after the peak, that is spent below a factor of the peak."""
        top = self.lr.index(self.peak)
        return sum(value < factor * self.peak for value in self.lr[top:]) / len(self.lr)

    @property
    def rises(self) -> int:
        """How often the lr turns from falling to rising by more than a tenth of the peak."""
        turns, low, falling = 0, self.lr[0], False
        high = self.lr[0]
        for value in self.lr:
            if falling:
                low = min(low, value)
                if value > low + 0.1 * self.peak:
                    turns, falling, high = turns + 1, False, value
            else:
                high = max(high, value)
                if value < high - 0.1 * self.peak:
                    falling, low = True, value
        return turns


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The schedule over the whole training."""

    kind: str
    unit: str  # in which it is stepped: "epoch" or "batch"
    calls: int  # of scheduler.step in the whole training
    updates: int
    epochs: int
    base: float  # the optimizer's own lr, before any schedule
    horizon: float | None  # in calls: after how many it is through; None where the scheduler does not say
    mine: Curve
    other: Curve  # stepped in the other unit
    periodic: bool  # made to restart or to cycle
    plateau: bool


def measure(window: Window) -> Schedule:
    from torch.optim import lr_scheduler

    setup = window.setup
    if setup.problem.scheduler is None:
        raise Unavailable("there is no scheduler")
    made = setup.make()
    scheduler, optimizer = made.scheduler, made.optimizer
    assert optimizer is not None
    updates, per_epoch = setup.length, setup.per_epoch
    epochs = max(round(updates / per_epoch), 1)
    unit = setup.problem.scheduler_step
    if setup.problem.loop is not None:
        run = window.read(trace.ENTRY).run
        if not run.calls and run.called < 2:
            raise Unavailable("the watched run did not come to the end of an epoch, so that nobody knows when the loop steps its scheduler")
        unit = "batch" if (run.calls[-1] if run.calls else run.called) > 1 else "epoch"
    plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    base = max(float(group.get("initial_lr", group["lr"])) for group in optimizer.param_groups)
    cyclic = (lr_scheduler.CosineAnnealingWarmRestarts, lr_scheduler.CyclicLR)
    parts = [scheduler, *getattr(scheduler, "_schedulers", ())]
    every = {"epoch": per_epoch, "batch": 1}
    if plateau:
        still = Curve(lr=(base, base))
        mine = other = still
    else:
        mine = _curve(setup.make(), updates, every[unit])
        other = _curve(setup.make(), updates, every["batch" if unit == "epoch" else "epoch"])
    return Schedule(
        kind=type(scheduler).__name__,
        unit=unit,
        calls=updates // every[unit],
        updates=updates,
        epochs=epochs,
        base=base,
        horizon=_horizon(parts),
        mine=mine,
        other=other,
        periodic=any(isinstance(part, cyclic) for part in parts),
        plateau=plateau,
    )


def _horizon(parts: Sequence[Any]) -> float | None:
    """In calls; the end of the last part of a chain, the last milestone of a staircase."""
    head = parts[0]
    milestones = getattr(head, "_milestones", None)
    if milestones and len(parts) > 1:
        last = _horizon([parts[-1]])
        return float(milestones[-1]) + (last or 0.0)
    stairs = getattr(head, "milestones", None)
    if stairs:
        return float(max(stairs))
    found = [float(getattr(part, name)) for part in parts for name in HORIZONS if isinstance(getattr(part, name, None), int | float)]
    return max(found, default=None)


def _curve(made: Any, updates: int, every: int) -> Curve:
    scheduler, optimizer = made.scheduler, made.optimizer
    if updates // every > MOST_CALLS:
        raise Unavailable(f"{updates // every} steps of the scheduler are more than are simulated")
    stride = max(updates // KEPT, 1)
    kept = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no optimizer steps between, which torch warns of
        for update in range(updates):
            if update % stride == 0:
                kept.append(max(float(group["lr"]) for group in optimizer.param_groups))
            if (update + 1) % every == 0:
                try:
                    scheduler.step()
                except Exception as error:  # OneCycleLR at its end, or what a user's own raises
                    return Curve(lr=tuple(kept), raised=f"{type(error).__name__}: {error}", raised_at=(update + 1) / updates)
    return Curve(lr=tuple(kept))


ENTRY = Signal(name="schedule", title="Learning rate over the whole training", cost="free", measure=measure)
