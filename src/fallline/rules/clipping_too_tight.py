"""Gradient clipping does all the work

How it is detected:
With a clip in the set-up the run is repeated without it. The finding needs that the run with it makes less than half of the progress.

Why it matters:
A clip far below the usual norm of the gradients makes every step the same small size: the learning rate is then not the one that was set.

What to do:
Clip at about the 90th percentile of the gradient norms. Where more than half of all steps are clipped, lower the learning rate instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, arguments
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made


def check(window: Window) -> Outcome:
    if window.setup.problem.clip is None:
        return NotApplicable("there is no clip in the set-up")
    seen, tries = window.read(trace.ENTRY), window.read(reruns.ENTRY)
    own = tries.own()
    if seen.diverged or own.gain > 0.8 * abs(own.start):
        return None

    def unclipped(made: Made) -> None:
        made.clip = None

    other = tries.of("no clip", unclipped)
    if not other.finite or other.gain < 0.2 * abs(other.start) or own.gain > 0.5 * other.gain:
        return None
    evidence = f"after {own.updates} updates the loss is {own.end:.4g} with the clip and {other.end:.4g} without, from {own.start:.4g}"
    figures = {"end": own.end, "end without": other.end}
    remedy = "raise the clip to the 90th percentile of the gradient norms"
    return RULE.finding(evidence, remedy, place="clip", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    clip = window.setup.problem.clip
    looser = [arguments(f"clip at {10 * clip:g}", clip=10.0 * clip)] if isinstance(clip, int | float) else []
    return [arguments("no clip", clip=None), *looser]


RULE = Rule(
    code="FL312",
    name="clipping_too_tight",
    title="Gradient clipping does all the work",
    faults=("O12",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL304", "FL415"),
)


def _clipped(norm: float) -> Problem:
    import torch

    return numbers(clip=norm, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9))


FIRES: Cases = {"a clip at 0.001": lambda: _clipped(0.001)}
SILENT: Cases = {"a clip at 5": lambda: _clipped(5.0), "no clip": numbers}
