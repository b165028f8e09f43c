"""Batches so large that there are hardly any steps

How it is detected:
An epoch has at most four steps, and the training is repeated with batches of a quarter and a sixteenth, for as many passes. The finding
needs that the smaller batch makes much more progress, and more than the same batch does with any larger learning rate.

Why it matters:
Beyond some size a larger batch hardly gives a better gradient, while every doubling halves the number of steps in the same passes.

What to do:
Take smaller batches, or many more epochs; where the batch is to stay, raise the learning rate and warm it up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, arguments
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

FEW = 4  # steps an epoch
PARTS = (4, 16)
SMALLEST = 16  # examples of a batch that is tried
FACTORS = (3.0, 10.0, 30.0)  # of the lr
ENOUGH = 0.8  # of the first loss: where so much is gone there were steps enough


def check(window: Window) -> Outcome:
    setup, seen = window.setup, window.read(trace.ENTRY)
    if setup.problem.loop is not None or setup.problem.scheduler is not None:
        return NotApplicable("the number of steps is also the schedule's or the loop's affair")
    if setup.per_epoch > FEW or not seen.whole or seen.diverged or setup.train is None:
        return None
    tries = window.read(reruns.ENTRY)
    own = tries.of("", updates=seen.length)
    if own.gain > ENOUGH * abs(own.start):
        return None
    best = own
    smaller = setup.batch_size
    for parts in PARTS:
        size = setup.batch_size // parts
        if size >= SMALLEST:
            other = setup.varied(batch_size=size, train=_reloaded(window))
            run = tries.of(f"batches of {size}", setup=other, updates=other.length)
            if run.gain > best.gain:
                best, smaller = run, size
    raised = max((tries.lr(factor, updates=seen.length).gain for factor in FACTORS), default=own.gain)
    if best is own or best.gain < 0.2 * abs(own.start) or own.gain > 0.8 * best.gain or raised > 0.95 * best.gain:
        return None
    evidence = (
        f"{setup.batch_size} examples a batch make {setup.per_epoch} step{'s' if setup.per_epoch > 1 else ''} an epoch, "
        f"{seen.length} in all; "
        f"the loss goes from {own.start:.4g} to {own.end:.4g}, in as many passes with batches of {smaller} to {best.end:.4g}, and with a "
        f"larger lr no further than {own.start - raised:.4g}"
    )
    figures = {"end": own.end, "end with smaller batches": best.end, "batch": smaller}
    return RULE.finding(evidence, f"take batches of {smaller}", place="batch_size", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    size = int(finding.figures["batch"])
    return [arguments(f"batches of {size}", batch_size=size)]


def _reloaded(window: Window) -> object:
    """The training data without the loader's own batch size."""
    from torch.utils.data import DataLoader

    train = window.setup.problem.train
    return train.dataset if isinstance(train, DataLoader) else train


RULE = Rule(
    code="FL511",
    name="batch_too_large",
    title="Batches so large that there are hardly any steps",
    faults=("D11",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL304", "FL415"),
)


def _batch(size: int, lr: float, epochs: int = 15) -> Problem:
    import torch

    return numbers(batch_size=size, epochs=epochs, optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr))


FIRES: Cases = {"all rows in a batch, fifteen steps": lambda: _batch(480, 3e-3)}
SILENT: Cases = {
    "fifteen batches": numbers,
    "all rows in a batch, for long": lambda: _batch(480, 1e-2, epochs=300),
    "a small lr": lambda: _batch(32, 1e-5),
}
