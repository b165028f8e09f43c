"""Training ends long before the model has learned

How it is detected:
Where the watched run has gone to the end of the training it is continued to three times the length at the learning rate that it had. The
finding needs that the part done was less than half of the progress then made, or that the loss falls to a third of what it was; on valid
where there is one.

Why it matters:
Ten epochs where a hundred are needed look like a bad model. The curve says otherwise, if it is looked at to its end.

What to do:
Train for longer. If the time does not allow it, raise the learning rate and see whether the same is reached sooner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, arguments
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, longer, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


LEFT = 0.33  # of the loss at the end is what is left of it later
DONE = 0.5  # of the progress that three times the length makes; short trainings that are fine have made more


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if not seen.whole or seen.diverged:
        return None
    more = window.read(longer.ENTRY)
    half_way = more.done < DONE * (more.done + more.further) and more.further > 0.15 * abs(more.start)
    far_from_flat = 0 < more.later < LEFT * more.end and more.further > 0.05 * abs(more.start)
    if more.further <= 0 or not (half_way or far_from_flat):
        return None
    split = "valid" if more.on_valid else "training examples"
    evidence = (
        f"after all {seen.run.updates} updates the loss on {split} has come from {more.start:.4g} to {more.end:.4g}; continued to "
        f"{more.updates} updates it reaches {more.later:.4g}"
    )
    figures = {"end": more.end, "later": more.later, "updates": seen.run.updates}
    epochs = round(3 * window.setup.epochs)
    return RULE.finding(evidence, f"train for about {epochs} epochs or more", place="epochs", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    epochs = 3 * max(round(window.setup.epochs), 1)  # where that is too short still, the next look says so
    return [arguments(f"{epochs} epochs", epochs=epochs)]


RULE = Rule(
    code="FL415",
    name="training_too_short",
    title="Training ends long before the model has learned",
    faults=("S15",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL605",),
)


def _for(epochs: float, lr: float) -> Problem:
    import torch

    return numbers(epochs=epochs, optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=lr))


FIRES: Cases = {"two epochs where twenty are needed": lambda: _for(2, 1e-3)}
SILENT: Cases = {"fifteen epochs": numbers, "thirty epochs": lambda: _for(30, 3e-3)}
