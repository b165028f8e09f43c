"""Learning rate too low

How it is detected:
The whole training, or what of it fits into the time, is run with the learning rate multiplied by 10, 100 and 1000. The finding needs that
the present one makes far less of the progress, and that it is still on its way down.

Why it matters:
The training ends long before the model has learned what it can. It looks like a model that is too small or data that say too little.

What to do:
Multiply the learning rate by 3 to 10 until the loss begins to jump, and stay a factor of 3 below. `fallline choose` finds it by a race.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


FACTORS = (10.0, 100.0, 1000.0)  # the last where a hundred times as much has not got far either
LITTLE = 0.4  # of the progress that a larger lr makes


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if seen.diverged or not seen.run.finite:
        return None
    tries = window.read(reruns.ENTRY)
    updates = min(tries.updates, seen.run.updates)
    own = tries.of("", updates=updates)
    if own.gain > 0.8 * abs(own.start):
        return None
    left = seen.length / max(updates, 1)  # how many times as much progress there may be until the end, at best
    best, factor = own, 1.0
    for larger in FACTORS:
        run = tries.lr(larger, updates=updates)
        if run.gain > 1.2 * max(best.gain, 0.0):
            best, factor = run, larger
        if factor < larger or best.gain > 0.5 * abs(best.start):
            break
    if best is own or best.gain < 0.2 * abs(best.start) or max(own.gain, 0.0) * left > LITTLE * best.gain:
        return None
    far = " (the watched part)" if not seen.whole else ""
    evidence = (
        f"in {own.updates} updates{far} the loss goes from {own.start:.4g} to {own.end:.4g}, and to {best.end:.4g} with the lr multiplied "
        f"by {factor:g}"
    )
    faults = ("O11", "O04") if _wears_out(seen.made.optimizer) else ("O04",)
    severity = "stop" if max(own.gain, 0.0) * left < 0.1 * best.gain else "warn"
    if seen.whole and _is_short(window):
        severity = "info"
        evidence += "; the training is short too, and the same lr goes far beyond when it goes on"
    figures = {"end": own.end, "end with a larger lr": best.end, "factor": factor}
    remedy = f"multiply the lr by {factor:g}"
    remedy += ", or take an optimizer whose steps do not shrink by themselves, such as Adam" if len(faults) > 1 else ""
    return RULE.finding(evidence, remedy, place="optimizer", faults=faults, severity=severity, step=own.updates, figures=figures)


def _is_short(window: Window) -> bool:
    """Whether the rule on short trainings has a finding: the same lr then makes more progress in three times the length than so far."""
    from fallline.rules import judged, training_too_short

    return isinstance(judged(training_too_short.RULE, window), Finding)


def _wears_out(optimizer: object) -> bool:
    """Whether the rule's own steps shrink by the sum of all past gradients, or do not follow from lr alone."""
    import torch

    return isinstance(optimizer, torch.optim.Adagrad | torch.optim.Adadelta)


def changes(window: Window, finding: Finding) -> list[Change]:
    factor = finding.figures["factor"]
    rates = [optimizers.scaled_lr(factor * more) for more in (1.0, 0.3, 3.0)]  # the rule tries whole decades
    return [*rates, *([optimizers.adam()] if "O11" in finding.faults else [])]


RULE = Rule(
    code="FL304",
    name="learning_rate_too_low",
    title="Learning rate too low",
    faults=("O04",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL415", "FL605", "FL606"),
)


def _adam(lr: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr))


FIRES: Cases = {"Adam at 0.000003": lambda: _adam(3e-6)}
SILENT: Cases = {"Adam at 0.003": numbers, "Adam at 0.001": lambda: _adam(1e-3)}
