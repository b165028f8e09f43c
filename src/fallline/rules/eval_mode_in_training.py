"""The model is trained in eval mode

How it is detected:
The modes of dropout and batch norm layers are read in forward passes that a backward pass follows. All of them in eval mode is the fault;
a part of them may be frozen on purpose.

Why it matters:
After the first validation dropout stays off and batch norm no longer follows the data, and worse, trains with statistics that do not fit:
`model.eval()` was called, and `model.train()` was not called again.

What to do:
Call `model.train()` at the start of each epoch, not once before the first.
"""

from __future__ import annotations

from fallline.changes import Change, loops
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import dropping, looped, numbers
from fallline.signals import Window, trace


def check(window: Window) -> Outcome:
    from fallline.signals._watcher import MODAL

    seen = window.read(trace.ENTRY)
    events = seen.events
    layers = [path for path, module in seen.made.model.named_modules() if isinstance(module, MODAL)]
    if not layers:
        return NotApplicable("the model has no layer that acts differently in eval mode")
    if not events.backwards or not events.in_eval:
        return None
    evidence = (
        f"{events.in_eval} of {events.backwards} backward passes go through a model in eval mode, where {layers[0]} and "
        f"{len(layers) - 1} more layers act as in prediction"
    )
    if events.in_eval < events.backwards:
        evidence += "; it begins in training mode and is not put back after an evaluation"
    return RULE.finding(evidence, "call model.train() at the start of each epoch", place="loop", figures={"in eval mode": events.in_eval})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [loops.training_mode()]


RULE = Rule(
    code="FL410",
    name="eval_mode_in_training",
    title="The model is trained in eval mode",
    faults=("S10",),
    severity="stop",
    stage="schedule",
    check=check,
    changes=changes,
    explains=("FL208",),
)


FIRES: Cases = {
    "eval mode throughout": lambda: looped("eval", model=dropping),
    "eval mode after the first evaluation": lambda: looped("eval left on", model=dropping),
}
SILENT: Cases = {
    "training mode": lambda: looped(model=dropping),
    "an evaluation in eval mode": lambda: looped("judged", model=dropping),
    "no such layer": lambda: looped("eval left on"),
    "no loop": numbers,
}
