"""A layer is too narrow for what must pass through it

How it is detected:
Needs a model that ends below a ridge regression on its inputs, and whose loss has come to rest. What each layer gets is given to the same
regression: the fault is named where the score falls by a third at a layer that gets fewer numbers than the target has and than the layers
before and behind it.

Why it matters:
What a layer of one or two units drops no later layer can bring back. Neither a longer training nor another learning rate helps.

What to do:
Widen that layer. As many units as the target has independent numbers are the least; four times as many train more easily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, numbers, rows
from fallline.rules.learns_nothing import WELL
from fallline.rules.underfitting import LESS
from fallline.signals import Window, outputs, reference, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

AT_REST = 0.1  # of the progress, made in the last third
LOST = 0.67  # of the score before the layer


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if not seen.whole or seen.diverged or len(seen.looks) < 6:
        return NotApplicable("the watched run did not come to its end, or has too few looks")
    found = window.read(reference.ENTRY)
    if found.probe < WELL or found.model > LESS * found.probe or len(found.layers) < 3:
        return None
    progress = seen.start - seen.end
    late = seen.looks[-len(seen.looks) // 3].train - seen.end
    if progress <= 0 or late > AT_REST * progress:
        return None
    first = window.read(outputs.ENTRY)
    wanted = first.output.shape[1] if first.classes else first.output[0].numel()
    for (_, _, before), (path, width, score) in zip(found.layers, found.layers[1:], strict=False):
        around = min(found.layers[0][1], max(other for _, other, _ in found.layers))
        if width < min(wanted, around) and score < LOST * before and before > WELL:
            evidence = (
                f"{path or 'a layer'} gets {width} number{'s' if width > 1 else ''} a case, for a target of {wanted}: of what "
                f"it gets a ridge "
                f"regression scores {score:.2f}, of what the layer before gets {before:.2f}, and the trained model {found.model:.2f}"
            )
            figures = {"width": width, "before": before, "behind": score, "model": found.model}
            return RULE.finding(evidence, f"give it {4 * wanted} numbers or more", place=path, figures=figures)
    return None


RULE = Rule(
    code="FL205",
    name="bottleneck",
    title="A layer is too narrow for what must pass through it",
    faults=("M05", "R10"),
    severity="warn",
    stage="model",
    check=check,
    explains=("FL304", "FL415"),
)


def _four_numbers(width: int) -> Problem:
    from torch import nn

    def squeezed() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, width), nn.Linear(width, 24), nn.ReLU(), nn.Linear(24, 4))

    splits = {name: rows(count, seed)[0] for name, count, seed in (("train", ROWS, 1), ("valid", VALID_ROWS, 2))}
    return numbers(model=squeezed, epochs=40, **{name: (x, x[:, :4].tanh()) for name, x in splits.items()})


FIRES: Cases = {"four numbers through one unit": lambda: _four_numbers(1)}
SILENT: Cases = {
    "four numbers through four units": lambda: _four_numbers(4),
    "four numbers through eight": lambda: _four_numbers(8),
    "one number": numbers,
}
