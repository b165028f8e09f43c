"""Learning rate too high

How it is detected:
The watched run diverges, or makes far less progress than the same run with the learning rate divided by 10, 100 and 1000. Everything else
is the same: weights, batches, schedule.

Why it matters:
Steps jump over the valley: the loss grows, becomes NaN, or stays far above what the same model reaches with smaller steps. Units that are
thrown far off may never come back.

What to do:
Divide the learning rate by 3 to 10 until it trains. If it must be that small, look at the scale of inputs and targets first, then at
warm-up and clipping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, trace, units

if TYPE_CHECKING:
    from fallline._problem import Problem


FACTORS = (0.1, 0.01, 0.001)
LITTLE = 0.6  # of the progress that a smaller lr makes; at a good lr a tenth of it makes less, not half as much again


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    tries = window.read(reruns.ENTRY)
    own = tries.own()
    if not seen.diverged and own.gain > 0.5 * abs(own.start):
        return None
    best, factor = own, 1.0
    for smaller in FACTORS:
        run = tries.lr(smaller)
        if run.gain > max(best.gain, 0.02 * abs(run.start)) and (best is own or run.gain > 1.5 * best.gain):
            best, factor = run, smaller
        if best is not own and run.gain < best.gain:
            break
    if best is own or (own.gain > LITTLE * best.gain and not seen.diverged) or best.gain < 0.05 * abs(best.start):
        return None
    ended = f"{own.end:.4g}" if own.finite else "NaN or inf"
    evidence = (
        f"after {own.updates} updates the loss on the same training examples goes from {own.start:.4g} to {ended}; with the lr multiplied "
        f"by {factor:g} it comes to {best.end:.4g}"
    )
    if not seen.diverged and any(layer.dead > 0.97 for layer in window.read(units.ENTRY).after):
        return None  # what it did is known more exactly: the rule on dead units tries the smaller lr too
    lr = max(float(group["lr"]) for group in seen.groups)
    remedy = f"multiply the lr by {factor:g}"
    figures = {"end": own.end, "end with a smaller lr": best.end, "factor": factor, "lr": lr}
    return RULE.finding(evidence, remedy, place="optimizer", step=own.updates, figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    factor = finding.figures["factor"]
    return [optimizers.scaled_lr(factor * more) for more in (1.0, 3.0, 0.3)]  # the rule tries whole decades


RULE = Rule(
    code="FL303",
    name="learning_rate_too_high",
    title="Learning rate too high",
    faults=("O03",),
    severity="stop",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL601", "FL604", "FL605", "FL606", "FL607"),
)


def _sgd(lr: float, momentum: float = 0.9) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum))


def _adam(lr: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr))


FIRES: Cases = {"SGD at 3": lambda: _sgd(3.0), "Adam at 3": lambda: _adam(3.0)}
SILENT: Cases = {"SGD at 0.02": lambda: _sgd(0.02), "Adam at 0.003": numbers, "Adam at 0.01": lambda: _adam(0.01)}
