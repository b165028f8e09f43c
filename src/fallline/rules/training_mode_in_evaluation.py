"""The model is judged in training mode

How it is detected:
Forward passes without gradients in the user's loop are taken for evaluation. In training mode, of a model with dropout or batch norm,
they are the fault.

Why it matters:
Dropout makes the figures noisy and too bad; batch norm takes its statistics from the validation batches, and even learns from them.
Predictions depend on who else is in the batch.

What to do:
`model.eval()` before validation and prediction, `model.train()` after it.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import dropping, looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    from fallline.signals._watcher import MODAL

    seen = window.read(trace.ENTRY)
    if window.setup.problem.loop is None:
        return NotApplicable("evaluation is not the user's own here")
    layers = [path for path, module in seen.made.model.named_modules() if isinstance(module, MODAL) and getattr(module, "p", 1) > 0]
    if not layers or not seen.events.judged_in_training:
        return None
    evidence = (
        f"{seen.events.judged_in_training} forward passes without gradients were made in training mode, where {layers[0]} and "
        f"{len(layers) - 1} more layers act as in training"
    )
    return RULE.finding(
        evidence, "call model.eval() before validation and prediction", place="loop", figures={"passes": seen.events.judged_in_training}
    )


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.evaluation_mode()]


RULE = Rule(
    code="FL411",
    name="training_mode_in_evaluation",
    title="The model is judged in training mode",
    faults=("S11",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL208", "FL607"),
)


FIRES: Cases = {"an evaluation in training mode": lambda: looped("judged in training", model=dropping)}
SILENT: Cases = {
    "an evaluation in eval mode": lambda: looped("judged", model=dropping),
    "no dropout and no batch norm": lambda: looped("judged in training"),
    "no loop": numbers,
}
