"""Accumulated gradients are summed

How it is detected:
Backward passes are counted between updates, and the gradient that arrives at the loss is read: with K passes averaged it is 1 / K, with K
summed it is 1. How much it matters follows from asking the optimizer for a step with gradients K times as large.

Why it matters:
With SGD, K summed passes are a learning rate K times as large, which often is beyond what holds. Adam divides by the size of the gradient
and hardly notices.

What to do:
Divide each loss by the number of passes before its backward: `(loss / K).backward()`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import looped, numbers
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    counts = seen.events.passes_per_update
    if window.setup.problem.loop is None or not counts or not seen.run.scales:
        return NotApplicable("steps over several batches are not the user's own here")
    passes = sorted(counts)[len(counts) // 2]
    scale = sorted(seen.run.scales)[len(seen.run.scales) // 2]
    batches = seen.run.drawn / max(seen.run.updates, 1)
    if passes < 2 or scale < 1.5 / passes or scale > 1.5 or batches < 0.75 * passes:
        return None  # several passes through one batch are terms of one loss
    matters = _follows_size(seen.made.optimizer)
    evidence = f"{passes} backward passes make one update, and each arrives with its full weight of {scale:.3g} instead of {1 / passes:.3g}"
    evidence += f": the step is {passes} times as large" if matters else "; this optimizer's steps do not follow the gradient's size"
    remedy = f"divide the loss by {passes} before backward"
    figures = {"passes": passes, "scale": scale}
    return RULE.finding(
        evidence, remedy, place="loop", severity="stop" if matters and seen.diverged else "warn" if matters else "info", figures=figures
    )


def _follows_size(optimizer: object) -> bool:
    """Whether steps grow with the gradient: what divides by a running mean of its square does not."""
    import torch

    names = {"exp_avg_sq", "square_avg", "exp_inf", "sum"}
    return isinstance(optimizer, torch.optim.Optimizer) and not any(names & set(state) for state in optimizer.state.values())


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.averaging(int(finding.figures["passes"]))]


RULE = Rule(
    code="FL412",
    name="accumulation_not_averaged",
    title="Accumulated gradients are summed",
    faults=("S12",),
    severity="warn",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL303", "FL601", "FL604"),
)


def _sgd(change: str) -> Problem:
    import torch

    return looped(change, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01))


FIRES: Cases = {"four batches summed under SGD": lambda: _sgd("summed")}
SILENT: Cases = {"four batches averaged": lambda: _sgd("averaged"), "one batch a step": lambda: _sgd(""), "no loop": numbers}
