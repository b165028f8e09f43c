"""Weight decay too strong

How it is detected:
Where decay could shrink the weights noticeably within the watched run, the run is repeated without it, and the progress compared.

Why it matters:
The weights are pulled to zero faster than the data can hold them: train and valid are both poor, and the model ends near the mean.

What to do:
Divide the decay by 10 to 100. AdamW: 0.01 to 0.1 for long trainings. SGD: 1e-5 to 5e-4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, decay, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


LITTLE = 0.5  # of the progress made without decay


def check(window: Window) -> Outcome:
    strength = window.read(decay.ENTRY)
    if strength.largest <= 0:
        return None
    seen, tries = window.read(trace.ENTRY), window.read(reruns.ENTRY)
    if not strength.coupled_adaptive and strength.lr * strength.largest * seen.run.updates < 0.05:
        return None  # over the whole run decay takes less than 5 % of any weight
    own = tries.own()
    if own.gain > 0.8 * abs(own.start):
        return None
    without = tries.of("no decay", lambda made: reruns.set_options(made, weight_decay=0.0))
    if not without.finite or own.gain > LITTLE * without.gain or without.gain < 0.1 * abs(without.start):
        return None
    evidence = (
        f"after {own.updates} updates with a weight_decay of {strength.largest:g} the loss on training examples is {own.end:.4g}, without "
        f"decay {without.end:.4g}, from {own.start:.4g}"
    )
    severity = "stop" if own.gain < 0.2 * without.gain else "warn"
    faults = ("O08", "O06") if strength.coupled_adaptive else ("O08",)
    figures = {"end": own.end, "end without": without.end, "weight_decay": strength.largest}
    remedy = "divide the weight_decay by 100"
    return RULE.finding(evidence, remedy, place="optimizer", faults=faults, severity=severity, step=own.updates, figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.scaled_option("weight_decay", 0.01), optimizers.scaled_option("weight_decay", 0.1)]


RULE = Rule(
    code="FL308",
    name="weight_decay_too_strong",
    title="Weight decay too strong",
    faults=("O08",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL304", "FL306", "FL307", "FL415", "FL604", "FL605", "FL606"),
)


def _adamw(decay: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=decay))


FIRES: Cases = {"AdamW with a decay of 30": lambda: _adamw(30.0)}
SILENT: Cases = {"AdamW with a decay of 0.1": lambda: _adamw(0.1), "no decay": numbers}
