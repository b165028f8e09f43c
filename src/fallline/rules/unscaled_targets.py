"""Targets far from the scale of the outputs

How it is detected:
Mean and spread of the target are compared with those of the untrained outputs. Beyond a factor of ten the run is repeated with
standardised targets, and the shares of the variance that the two explain are compared.

Why it matters:
The model starts so far off that gradients are enormous, or has to move its last bias by hundreds of steps before it can look at the
inputs.

What to do:
Subtract the mean and divide by the standard deviation of the training targets, and turn predictions back. For prices, counts and the like
take the logarithm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.signals import Unavailable, Window, behaviour, columns, outputs, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made


FAR = 10.0
UNREACHED = 2.0  # times the variance of the target: the mean of the target alone comes to 1


def check(window: Window) -> Outcome:
    first, loss, table = window.read(outputs.ENTRY), window.read(behaviour.ENTRY), window.read(columns.ENTRY).train
    if first.output.numel() != first.target.numel() or loss.least_at_target is not True or not len(table.target_std):
        return None
    std, mean = float(table.target_std.max()), float(table.target_mean.abs().max())
    spread = max(float(first.output.std()), 1e-6)
    if max(std, mean) < FAR * max(spread, 0.3) and std > 1e-3:
        return None
    evidence = f"targets have a mean of {mean:.4g} and spread by {std:.4g}, the untrained outputs by {spread:.3g}"
    remedy = "standardise the targets with the mean and standard deviation of train, and turn predictions back"
    figures = {"mean": mean, "std": std, "output": spread}
    quiet = RULE.finding(evidence, remedy, place="target", severity="info", figures=figures)
    try:
        seen = window.read(trace.ENTRY)
        unexplained = _unexplained(window, seen.made, 0.0, 1.0) if seen.run.finite else float("inf")
        if unexplained < 0.3:
            return quiet
        if seen.whole and unexplained > UNREACHED:
            evidence += (
                f"; after all {seen.run.updates} updates the squared error on training examples is {unexplained:.3g} times "
                f"their variance: not "
                "even their mean is reached"
            )
            quiet = RULE.finding(evidence, remedy, place="target", severity="stop", figures=figures)
        tries = window.read(reruns.ENTRY)
        centre, scale = table.target_mean.float(), table.target_std.float().clamp_min(1e-12)
        shape = first.target.shape[1:]
        changed = reruns.changed_targets(window.setup, lambda y: (y - centre.reshape(shape)) / scale.reshape(shape))
        other = tries.of("standardised targets", setup=changed, updates=seen.run.updates)
        assert other.made is not None
        remaining = _unexplained(window, other.made, centre.reshape(shape), scale.reshape(shape)) if other.finite else float("inf")
    except Unavailable:
        return quiet
    if remaining > 0.6 * min(unexplained, 1.0):
        return quiet
    told = f"{unexplained:.0%}" if unexplained < 100 else "all"
    evidence += f"; after {seen.run.updates} updates {told} of the variance is unexplained, with standardised targets {remaining:.0%}"
    severity = "stop" if unexplained > 0.9 else "warn"
    return RULE.finding(evidence, remedy, place="target", severity=severity, figures=figures | {"unexplained": min(unexplained, 1e9)})


def _unexplained(window: Window, made: Made, centre: Any, scale: Any) -> float:
    """Mean squared error over the variance of the target, in its own units."""
    first = window.read(outputs.ENTRY)
    said = window.setup.judged(made.model, first.inputs).float().reshape(first.target.shape) * scale + centre
    return float((said - first.target).square().mean() / first.target.var().clamp_min(1e-12))


def changes(window: Window, finding: Finding) -> list[Change]:
    table = window.read(columns.ENTRY).train
    return [data.standardised_targets(table.target_mean.float(), table.target_std.float().clamp_min(1e-12))]


RULE = Rule(
    code="FL502",
    name="unscaled_targets",
    title="Targets far from the scale of the outputs",
    faults=("D02",),
    severity="warn",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL112", "FL303", "FL304", "FL415", "FL601", "FL604", "FL605", "FL606"),
)


def _shifted(scale: float, shift: float) -> Problem:
    splits = {"train": rows(ROWS, 1), "valid": rows(VALID_ROWS, 2)}
    return numbers(**{name: (x, y * scale + shift) for name, (x, y) in splits.items()})


FIRES: Cases = {"targets around 500": lambda: _shifted(1.0, 500.0), "targets of some 10,000": lambda: _shifted(1e4, 0.0)}
SILENT: Cases = {"targets of about 1": numbers, "targets around 2": lambda: _shifted(1.0, 2.0)}
