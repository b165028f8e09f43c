"""The loss jumps up and comes back

How it is detected:
The losses of the updates of the watched run: one far above the 31 before it, while the run goes on and ends near where it had been. Whether
the batch or the weights are to blame is told by the gradients: the norm at the spike is held against those before.

Why it matters:
A spike of the weights means that the learning rate is near what the model bears, and the next one may not come back. A spike of a batch
means that single examples, often wrong ones, weigh as much as hundreds.

What to do:
Clip gradients at the 90th percentile of their norms, warm up longer, lower beta2 of Adam to 0.95; look at the examples of the batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, classes, numbers, rows
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

BEFORE = 31  # updates
FAR, DEVIATIONS = 3.0, 12.0  # times the median, and above it by so many times the median deviation
MATTERS = 0.01  # of the loss at the start: a smaller jump, near the end of a loss that goes to zero, does no harm


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    losses = seen.run.losses
    if len(losses) < 2 * BEFORE or not seen.run.finite or seen.diverged:
        return NotApplicable("the watched run diverged, or is too short to tell a spike")
    matters = MATTERS * abs(seen.start)
    found = next((place for place in range(BEFORE, len(losses)) if _is_spike(losses[place - BEFORE : place], losses[place], matters)), None)
    if found is None or seen.start - seen.end < 0.2 * abs(seen.start):
        return None
    before = sorted(losses[found - BEFORE : found])[BEFORE // 2]
    evidence = (
        f"at update {found} the loss of a batch is {losses[found]:.4g}, where {before:.4g} was usual; the run ends at {losses[-1]:.4g}"
    )
    norms = seen.events.whole_norms
    earlier = sorted(norms[update] for update in range(found - BEFORE, found) if update in norms)
    if found in norms and earlier and math.isfinite(norms[found]):
        evidence += f"; the gradients' norm there is {norms[found]:.3g} against {earlier[len(earlier) // 2]:.3g}"
    figures = {"loss": losses[found], "usual": before}
    return RULE.finding(
        evidence, "clip the gradients, and look at the examples of that batch", place="training", step=found, figures=figures
    )


def _is_spike(before: list[float], loss: float, matters: float) -> bool:
    middle = sorted(before)[len(before) // 2]
    deviation = sorted(abs(value - middle) for value in before)[len(before) // 2]
    return loss > FAR * max(middle, 0.0) and loss > middle + max(DEVIATIONS * deviation, matters)


RULE = Rule(
    code="FL608",
    name="loss_spikes",
    title="The loss jumps up and comes back",
    faults=("R08",),
    severity="info",
    stage="symptom",
    check=check,
)


def _outlier(size: float) -> Problem:
    x, y = rows(ROWS, 1)
    y = y.clone()
    y[7] += size
    return numbers(train=(x, y))


FIRES: Cases = {"one target far off": lambda: _outlier(40.0)}
SILENT: Cases = {"no such target": lambda: _outlier(0.0), "classes": classes}
