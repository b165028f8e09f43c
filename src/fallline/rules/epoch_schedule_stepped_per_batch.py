"""Schedule made for epochs is stepped per batch

How it is detected:
The schedule is run over the whole training on a spare optimizer, in the unit in which the user steps it and in the other. The fault is
named where the first gives a learning rate that is gone early, comes back again and again, or ends in an error, the other a sound curve,
and the scheduler's own horizon is a number of epochs.

Why it matters:
The learning rate is through its decay after a few epochs' worth of batches. The rest of the training stands still, or is thrown about by
restarts that nobody wanted.

What to do:
Call `scheduler.step()` once an epoch, after the inner loop (`scheduler_step="epoch"`); or count the horizon in batches: `T_max=epochs *
len(loader)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, schedules
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, schedule

if TYPE_CHECKING:
    from fallline._problem import Problem


GONE = 1e-3  # of the peak
FALLEN, OVER = 0.15, 0.1  # of the peak; of the training
EARLY = 0.5  # share of the training after which a learning rate may be gone


def check(window: Window) -> Outcome:
    seen = window.read(schedule.ENTRY)
    if seen.plateau or seen.unit != "batch" or seen.epochs < 2 or seen.updates < 2 * seen.epochs:
        return None
    mine, other = seen.mine, seen.other
    gone = mine.at(EARLY) < GONE * mine.peak and mine.share_below(GONE) > 0.3
    swings = mine.rises > max(other.rises, 1) and not seen.periodic
    in_epochs = seen.horizon is not None and seen.horizon <= 2 * seen.epochs
    sound = not other.raised and other.at(EARLY) >= GONE * other.peak
    # all that it has to do is done in a tenth of the training, and would take a good part of it in epochs
    over = seen.horizon is not None and seen.horizon <= seen.epochs and seen.horizon < OVER * seen.updates
    gone = gone or (over and mine.at(EARLY) < FALLEN * mine.peak and other.at(OVER) > 0.5 * other.peak)
    if not (gone or swings or bool(mine.raised)) or not sound or not (in_epochs or (seen.horizon is None and gone)):
        return None
    what = f"raises after {mine.raised_at:.0%} of the training" if mine.raised else ""
    what = what or (f"rises {mine.rises} times" if swings else f"is at {mine.at(EARLY) / mine.peak:.1g} of its peak half-way")
    through = f"is through after {seen.horizon:g} steps" if seen.horizon is not None else "decays by the step"
    evidence = (
        f"{seen.kind} {through} and is stepped {seen.calls} times, once a batch, in {seen.epochs} epochs: the lr {what}; stepped once "
        f"an epoch "
        f"it would go from {other.peak:.3g} to {other.at(1.0):.3g}"
    )
    figures = {"calls": seen.calls, "epochs": seen.epochs, "horizon": seen.horizon or 0.0}
    return RULE.finding(evidence, "step the scheduler once an epoch", place="scheduler", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    if window.setup.problem.loop is not None:
        return [schedules.cosine(window.read(schedule.ENTRY).calls)]
    return [schedules.stepped_per("epoch")]


RULE = Rule(
    code="FL404",
    name="epoch_schedule_stepped_per_batch",
    title="Schedule made for epochs is stepped per batch",
    faults=("S04",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL304", "FL406", "FL409", "FL414", "FL415", "FL605", "FL606"),
)


def _stepped(unit: str, kind: str = "StepLR", **more: float) -> Problem:
    from torch.optim import lr_scheduler

    how: dict[str, dict[str, float]] = {"StepLR": {"step_size": 5}, "CosineAnnealingLR": {"T_max": 15}, "ExponentialLR": {"gamma": 0.9}}
    scheduler = lambda optimizer: getattr(lr_scheduler, kind)(optimizer, **{**how[kind], **more})  # noqa: E731
    return numbers(scheduler=scheduler, scheduler_step=unit)


FIRES: Cases = {
    "a staircase of epochs per batch": lambda: _stepped("batch"),
    "a cosine over the epochs per batch": lambda: _stepped("batch", "CosineAnnealingLR"),
    "an exponential decay per batch": lambda: _stepped("batch", "ExponentialLR"),
}
SILENT: Cases = {
    "a staircase of epochs per epoch": lambda: _stepped("epoch"),
    "a cosine over all batches per batch": lambda: _stepped("batch", "CosineAnnealingLR", T_max=225),
    "a slow exponential decay per batch": lambda: _stepped("batch", "ExponentialLR", gamma=0.99),
}
