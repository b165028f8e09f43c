"""Momentum too high for the learning rate

How it is detected:
Where a momentum (or Adam's first beta) is above 0.95, the run is repeated with 0.9 at the same learning rate and the progress compared.

Why it matters:
A momentum of 0.99 multiplies steps by 100 and remembers a hundred of them: the loss swings with a period of about 1 / (1 - momentum).

What to do:
0.9, or a learning rate that is smaller by the same factor: lr / (1 - momentum) is what counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, optimizers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, parameters, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made


HIGH = 0.95
LITTLE = 0.75  # of the progress made with 0.9: where a high momentum suits, that is less and not more


def check(window: Window) -> Outcome:
    groups = window.read(parameters.ENTRY).groups
    momenta = [float(group.get("momentum", 0) or (group.get("betas") or (0,))[0]) for group in groups]
    momentum = max(momenta, default=0.0)
    if momentum <= HIGH:
        return None
    seen, tries = window.read(trace.ENTRY), window.read(reruns.ENTRY)
    own = tries.own()
    if not seen.diverged and own.gain > 0.8 * abs(own.start):
        return None

    def calmer(made: Made) -> None:
        assert made.optimizer is not None
        for group in made.optimizer.param_groups:
            if "momentum" in group:
                group["momentum"] = 0.9
            if "betas" in group:
                group["betas"] = (0.9, *group["betas"][1:])

    other = tries.of("momentum 0.9", calmer)
    if not other.finite or other.gain < 0.1 * abs(other.start) or own.gain > LITTLE * other.gain:
        return None
    ended = f"{own.end:.4g}" if own.finite else "NaN or inf"
    evidence = f"with a momentum of {momentum:g} the loss goes from {own.start:.4g} to {ended}, with 0.9 at the same lr to {other.end:.4g}"
    figures = {"momentum": momentum, "end": own.end, "end at 0.9": other.end}
    return RULE.finding(evidence, "set momentum to 0.9", place="optimizer", severity="stop" if seen.diverged else "warn", figures=figures)


def changes(window: Window, finding: Finding) -> list[Change]:
    return [optimizers.usual_momentum()]


RULE = Rule(
    code="FL309",
    name="momentum_too_high",
    title="Momentum too high for the learning rate",
    faults=("O09",),
    severity="warn",
    stage="setting",
    check=check,
    changes=changes,
    explains=("FL303", "FL601", "FL604"),
)


def _sgd(momentum: float) -> Problem:
    import torch

    return numbers(optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=momentum))


FIRES: Cases = {"SGD with a momentum of 0.999": lambda: _sgd(0.999)}
SILENT: Cases = {"SGD with a momentum of 0.9": lambda: _sgd(0.9), "Adam": numbers}
