"""Activation where none belongs

How it is detected:
The loss takes a softmax or sigmoid of its own, and the output cannot be negative, or stays within narrow bounds, whatever the weights of
the last layer. Or two squashing functions follow each other without a layer between.

Why it matters:
Logits need both signs: behind a ReLU "very unlikely" cannot be said, and a case whose logits are all 0 gets no gradient at all. Behind a
tanh no probability gets beyond e^2 to 1.

What to do:
End the model with the linear layer. Use each activation once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, with_head, yes_no
from fallline.signals import Window, behaviour, calls, head, outputs

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    loss, first, seen = window.read(behaviour.ENTRY), window.read(outputs.ENTRY), window.read(calls.ENTRY)
    inside = (loss.shift_invariant is True and first.classes) or loss.wants_signs is True
    if inside and not first.probabilities and not first.log_probabilities:
        reach = window.read(head.ENTRY)
        bounded = reach.high - reach.low < 4 and not reach.constant
        if (reach.low >= -0.2 and reach.high > 1.5) or (bounded and not reach.is_within(0.0, 1.0)):
            name = seen.last if seen.last in calls.SQUASHING + calls.RECTIFYING else "the head"
            evidence = (
                f"outputs lie within [{reach.low:.3g}, {reach.high:.3g}] whatever the weights of the last layer, because of {name}, and "
                "the loss reads them as logits"
            )
            severity, place = "stop" if loss.wants_signs and reach.low >= -0.2 else "warn", seen.last_place or "the model's output"
            return RULE.finding(evidence, "end the model with the linear layer", place=place, severity=severity)
    squashed = [call for call in seen.named(*calls.SQUASHING) if call.source in ("softmax", "sigmoid", "tanh")]
    twice = [call for call in squashed if call.source_place != call.place]
    if twice and not (twice[0].name == "log_softmax" and twice[0].source == "log_softmax"):
        evidence = f"{twice[0].name} at {twice[0].place or 'forward'} is given what {twice[0].source} at {twice[0].source_place} gives"
        return RULE.finding(evidence, "use one of them", place=twice[0].place or "forward")
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    seen = window.read(calls.ENTRY)
    ends = [call for call in seen.named(seen.last) if call.place == seen.last_place and seen.last not in calls.WEIGHTED]
    twice = [call for call in seen.named(*calls.SQUASHING) if call.source in ("softmax", "sigmoid", "tanh") and call.place == finding.place]
    found = twice or ends
    return [layers.passed_over(found)] if found else []


RULE = Rule(
    code="FL211",
    name="activation_on_logits",
    title="Activation where none belongs",
    faults=("M11",),
    severity="warn",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL604", "FL605", "FL606"),
)


def _behind(name: str) -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(getattr(nn, name)()))


def _yes_no(name: str) -> Problem:
    from torch import nn

    return yes_no(model=lambda: with_head(getattr(nn, name)(), 1))


FIRES: Cases = {
    "ReLU on the logits of classes": lambda: _behind("ReLU"),
    "ReLU on a logit": lambda: _yes_no("ReLU"),
    "tanh on logits": lambda: _behind("Tanh"),
}
SILENT: Cases = {"bare logits": classes, "one bare logit": yes_no}
