"""Changes of the schedule: its unit, its length, or another in its place."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fallline.changes import Change, arguments

if TYPE_CHECKING:
    import torch

    from fallline._problem import Problem

WARM = 0.05  # of the calls: the middle of the usual 1 to 10 %


def stepped_per(unit: str) -> Change:
    """In our loop; what a loop of the user's own does, it does."""
    return arguments(f"the scheduler stepped once {'an epoch' if unit == 'epoch' else 'a batch'}", scheduler_step=unit)


def without() -> Change:
    return arguments("no schedule", scheduler=None)


def cosine(calls: int, warm: bool = False) -> Change:
    """Half a cosine over the whole training, counted in calls of the scheduler, from the optimizer's own lr; after a warm-up or at once."""
    rising = max(round(WARM * calls), 1) if warm else 0

    def factor(call: int) -> float:
        if call < rising:
            return (call + 1) / (rising + 1)
        return 0.5 * (1 + math.cos(math.pi * min((call - rising) / max(calls - rising, 1), 1.0)))

    words = f"a cosine over all {calls} steps of the scheduler" + (f", after a warm-up of {rising}" if warm else "")
    return _exchanged(
        words, f"CosineAnnealingLR(optimizer, T_max={calls})" if not warm else f"a warm-up of {rising} and then a cosine", factor
    )


def warm_up(calls: int) -> Change:
    """A warm-up over a twentieth of the calls, then the optimizer's own lr."""
    rising = max(round(WARM * calls), 1)
    words = f"a warm-up of {rising} steps, then the full lr"
    return _exchanged(
        words, f"LambdaLR(optimizer, lambda step: min((step + 1) / {rising}, 1.0))", lambda call: min((call + 1) / rising, 1.0)
    )


def falling(calls: int) -> Change:
    """A warm-up over a twentieth of the calls, then half a cosine."""
    return cosine(calls, warm=True)


def lasting(calls: int) -> Change:
    """torch's own cosine or cycle with the length of the training."""

    def edit(scheduler: Any, optimizer: torch.optim.Optimizer) -> Any:
        from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

        if isinstance(scheduler, CosineAnnealingLR):
            scheduler.T_max = calls
            return scheduler
        if isinstance(scheduler, OneCycleLR):
            return OneCycleLR(optimizer, [group["max_lr"] for group in optimizer.param_groups], total_steps=calls + 1)
        return None

    return _edited(f"the schedule's length set to {calls}", f"T_max={calls}, or total_steps={calls}", edit)


def other_mode(mode: str) -> Change:
    """A plateau scheduler that waits for the other direction."""

    def edit(scheduler: Any, _: torch.optim.Optimizer) -> None:
        scheduler.mode = mode
        if hasattr(scheduler, "_init_is_better"):
            scheduler._init_is_better(mode=mode, threshold=scheduler.threshold, threshold_mode=scheduler.threshold_mode)
        scheduler._reset()

    return _edited(f'mode="{mode}"', f'ReduceLROnPlateau(optimizer, mode="{mode}")', edit)


def of_this_optimizer() -> Change:
    """The user's scheduler object on the optimizer that trains."""

    def make(problem: Problem) -> Problem:
        from fallline._parts import copied_scheduler
        from fallline.changes._parts import optimizer_of

        own = problem.scheduler
        return replace(
            problem, optimizer=optimizer_of(problem), scheduler=lambda optimizer: copied_scheduler(own, own.optimizer, optimizer)
        )

    return Change(words="the scheduler on the optimizer that trains", source="build the scheduler from the same optimizer", make=make)


def _exchanged(words: str, source: str, factor: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from torch.optim.lr_scheduler import LambdaLR

        from fallline.changes._parts import optimizer_of

        return replace(problem, optimizer=optimizer_of(problem), scheduler=lambda optimizer: LambdaLR(optimizer, factor))

    return Change(words=words, source=source, make=make)


def _edited(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_scheduler

        return with_scheduler(problem, edit)

    return Change(words=words, source=source, make=make)
