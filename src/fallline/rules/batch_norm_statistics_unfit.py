"""Batch norm's statistics do not fit

How it is detected:
After the watched run the same training examples are judged twice with the same weights: with batch norm's running statistics, as in eval
mode, and with the statistics of batches as in training. The rest of the model is in eval mode both times. Batches of fewer than eight are
compared with one of 256 in the same way; where that does not tell, the run is repeated with group norms, which do not look at the batch.

Why it matters:
With batches of two or four the statistics of training are mostly noise; with few updates, or a momentum near 0, the running ones have not
arrived. The model then trains well and predicts badly.

What to do:
Larger batches, or GroupNorm or LayerNorm, which do not look at the batch; a larger `momentum` where there are few updates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Unavailable, Window, norms, reruns

if TYPE_CHECKING:
    from fallline._problem import Problem


SMALL = 8  # examples a batch
NOISIER = 1.25
HELD_BACK = 0.25  # of the loss at the start, that group norms must gain, twice what batch norms do: far from any tie
WORSE = 1.5  # DeepChecker's threshold: half as much again


def check(window: Window) -> Outcome:
    seen = window.read(norms.ENTRY)
    if not seen.finite:
        return None
    far = seen.with_running > WORSE * seen.with_batch + 0.02 * seen.at_start
    learned, kept = seen.at_start - seen.with_batch, seen.at_start - seen.with_running
    noisy = seen.batch_size < SMALL and seen.with_batch > NOISIER * seen.with_large + 0.02 * seen.at_start
    if noisy and not far:
        evidence = (
            f"with the statistics of batches of {seen.batch_size} the trained model's loss is {seen.with_batch:.3g}, with those of "
            f"256 examples "
            f"{seen.with_large:.3g}: what a case gives depends on which few others stand beside it"
        )
        figures = {"small batches": seen.with_batch, "large batches": seen.with_large, "batch size": seen.batch_size}
        return RULE.finding(evidence, "use larger batches, or GroupNorm or LayerNorm", place=seen.place, step=seen.updates, figures=figures)
    if not far and not (learned > 0.1 * seen.at_start and kept < 0.5 * learned):  # half of what was learned is lost in eval mode
        return _against_group_norms(window, seen) if seen.batch_size < SMALL else None
    evidence = (
        f"after {seen.updates} updates with batches of {seen.batch_size} the loss on the same training examples is {seen.with_running:.3g} "
        f"with running statistics and {seen.with_batch:.3g} with those of the batch"
    )
    few = seen.updates * seen.momentum < 3  # running averages are within 5 % after three times 1 / momentum updates
    remedy = (
        "train for more updates, or raise the momentum of the norms" if few and seen.batch_size >= 8 else "use larger batches, or GroupNorm"
    )
    figures = {"running": seen.with_running, "batch": seen.with_batch, "batch size": seen.batch_size}
    return RULE.finding(evidence, remedy, place=seen.place, step=seen.updates, figures=figures)


def _against_group_norms(window: Window, seen: norms.Norms) -> Outcome:
    """Small batches, and statistics that agree with each other: whether the norms hold the training back."""
    try:
        again = window.read(reruns.ENTRY)
        own, grouped = again.own(), again.of("group norms", lambda made: layers.regroup(made.model))
    except Unavailable as reason:
        return NotApplicable(str(reason))
    if own.updates * seen.momentum < norms.ARRIVED:
        return NotApplicable("the repeated run is too short for running statistics to arrive; give a longer run_for")
    if not (own.finite and grouped.gain > 2 * max(own.gain, 0.0) and grouped.gain > HELD_BACK * abs(own.start)):
        return None
    evidence = (
        f"in {own.updates} updates with batches of {seen.batch_size} the loss on the same training examples goes from {own.start:.3g} to "
        f"{own.end:.3g}, with group norms in place of the batch norms to {grouped.end:.3g}"
    )
    figures = {"batch": own.end, "group": grouped.end, "batch size": seen.batch_size}
    return RULE.finding(evidence, "use larger batches, or GroupNorm or LayerNorm", place=seen.place, step=own.updates, figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.group_norms(), layers.norm_momentum(0.3)]


RULE = Rule(
    code="FL208",
    name="batch_norm_statistics_unfit",
    title="Batch norm's statistics do not fit",
    faults=("M08",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL605", "FL607"),
)


def _normed(batch_size: int, momentum: float = 0.1, epochs: int = 15) -> Problem:
    from torch import nn

    def model() -> nn.Module:
        norms = [nn.BatchNorm1d(24, momentum=momentum) for _ in range(2)]
        return nn.Sequential(nn.Linear(6, 24), norms[0], nn.ReLU(), nn.Linear(24, 24), norms[1], nn.ReLU(), nn.Linear(24, 1))

    return numbers(model=model, batch_size=batch_size, epochs=epochs)


FIRES: Cases = {
    "a momentum that never arrives": lambda: _normed(32, 1e-4),
    "five updates": lambda: _normed(96, epochs=1),
    "twos": lambda: _normed(2, epochs=4),
}
SILENT: Cases = {"batches of 32": lambda: _normed(32), "no batch norm": numbers}
