"""Overfitting

How it is detected:
The loss on valid in the watched run: it must end well above its least value, after at least three looks of rising, while the loss on
train goes on falling. Where train is known by heart, its loss a twentieth of that on valid, half the rise is enough.

Why it matters:
The model learns train by heart. The best weights were passed some time ago.

What to do:
Keep the best weights (`patience`), more data or augmentation, weight decay, dropout, a smaller model, fewer epochs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fallline.changes import Change, arguments
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import VALID_ROWS, network, numbers, rows
from fallline.signals import Window, trace

if TYPE_CHECKING:
    from fallline._problem import Problem

BY_HEART = 0.05  # of the loss on valid


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    curve = [look.valid for look in seen.looks if look.valid is not None]
    if len(curve) < 8 or not seen.run.finite:
        return NotApplicable("there are too few looks at a valid split")
    lowest = min(range(len(curve)), key=lambda place: curve[place])
    least, end = curve[lowest], curve[-1]
    by_heart = 0 <= seen.end < BY_HEART * end
    rising = len(curve) - lowest > 3 and end > (1.1 if by_heart else 1.2) * least and all(value > least for value in curve[-3:])
    if not rising or seen.end > seen.looks[lowest].train:
        return None
    grave = end > 1.5 * least and lowest < len(curve) / 3 and window.setup.problem.patience is None and end > curve[0]
    evidence = (
        f"the loss on valid was least at update {seen.looks[lowest].update} ({least:.4g}) and ends at {end:.4g}, while that on train "
        f"went on "
        f"from {seen.looks[lowest].train:.4g} to {seen.end:.4g}"
    )
    remedy = "keep the best weights (patience), add data or augmentation, decay or dropout"
    step = seen.looks[lowest].update
    return RULE.finding(evidence, remedy, place="training", severity="warn" if grave else "info", step=step)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [replace(arguments("the best weights on valid kept (patience of 5 epochs)", patience=5), beyond_valid=True)]


RULE = Rule(
    code="FL607",
    name="overfitting",
    title="Overfitting",
    faults=("R09",),
    severity="info",
    stage="symptom",
    check=check,
    changes=changes,
)


def _by_heart() -> Problem:
    import torch

    x, y = rows(40, 1)
    noisy = y + 1.5 * torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    optimizer = lambda model: torch.optim.Adam(model.parameters(), lr=1e-2)  # noqa: E731
    return numbers(
        model=lambda: network(width=64), train=(x, noisy), valid=rows(VALID_ROWS, 2), optimizer=optimizer, epochs=150, batch_size=20
    )


FIRES: Cases = {"forty noisy rows and a large model": _by_heart}
SILENT: Cases = {"enough rows": numbers}
