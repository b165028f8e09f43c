"""Units that give zero for every example

How it is detected:
Over 512 training examples, before and after the watched run: units behind a ReLU that are zero for every one. Where most of a layer has
died in training, the run is repeated with a tenth of the learning rate, and with a hundredth if that does not decide.

Why it matters:
A ReLU that is zero everywhere passes no gradient and cannot come back. When a whole layer is dead the output is a constant.

What to do:
A smaller learning rate or warm-up where they died in training; biases at 0 and He initialisation where they were born dead; LeakyReLU or
GELU cannot die.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Unavailable, Window, reruns, trace, units

if TYPE_CHECKING:
    from fallline._problem import Problem


LEARNED = 0.02  # of the loss at the start, in the part of the training that is repeated
MOST = 0.8  # of a layer: below it a healthy network of some width still trains


def check(window: Window) -> Outcome:
    seen = window.read(units.ENTRY)
    worst = max(seen.after, key=lambda layer: layer.dead, default=None)
    born = max(seen.before, key=lambda layer: layer.dead, default=None)
    if born is not None and born.dead >= MOST:
        evidence = f"before training {born.dead:.0%} of the {born.units} units of {born.name} {born.place} are zero for every example"
        remedy = "set biases to 0 and draw weights with kaiming_normal_; LeakyReLU or GELU cannot die"
        return RULE.finding(evidence, remedy, place=born.place, severity=_gravity(born.dead), figures={"dead": born.dead})
    if worst is None or worst.dead < MOST:
        return None
    run = window.read(trace.ENTRY)
    evidence = (
        f"after {run.run.updates} updates {worst.dead:.0%} of the {worst.units} units of {worst.name} {worst.place} are zero for "
        f"every example"
    )
    faults, divisor = RULE.faults, 1
    try:
        for factor, words in ((0.1, "a tenth"), (0.01, "a hundredth")):
            calmer = window.read(reruns.ENTRY).lr(factor)
            assert calmer.made is not None
            dead = max((layer.dead for layer in units.layers_of(window.setup, calmer.made.model)), default=0.0)
            evidence += f"; with {words} of the lr {dead:.0%}"
            learned = calmer.gain > LEARNED * abs(calmer.start)  # weights that hardly move kill no unit, whatever the cause
            if dead < 0.5 * worst.dead and (factor > 0.05 or learned):
                faults, divisor = ("R04", "O03"), round(1 / factor)
                break
    except Unavailable:
        pass
    remedy = f"divide the lr by {divisor} or warm up" if divisor > 1 else "use LeakyReLU or GELU, and look at the scale of the inputs"
    figures = {"dead": worst.dead}
    return RULE.finding(
        evidence, remedy, place=worst.place, faults=faults, severity=_gravity(worst.dead), step=run.run.updates, figures=figures
    )


def _gravity(share: float) -> str:
    return "stop" if share > 0.97 else "warn"


def changes(window: Window, finding: Finding) -> list[Change]:
    if finding.step is None:
        return [layers.drawn_anew()]
    return [*(optimizers.scaled_lr(factor) for factor in (0.1, 0.01)), layers.drawn_anew()]


RULE = Rule(
    code="FL604",
    name="dead_units",
    title="Units that give zero for every example",
    faults=("R04",),
    severity="stop",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL201", "FL204", "FL304", "FL415", "FL603", "FL605", "FL606"),
)


def _biased(bias: float) -> Problem:
    import torch
    from torch import nn

    def model() -> nn.Module:
        made = network()
        with torch.no_grad():
            made[2].bias.fill_(bias)  # type: ignore[index]  # a Sequential
        return made

    return numbers(model=model)


FIRES: Cases = {"biases of -20": lambda: _biased(-20.0)}
SILENT: Cases = {"torch's own biases": numbers, "biases of 0": lambda: _biased(0.0)}
