"""The same prediction for every case

How it is detected:
After the watched run the spread of the predictions over cases is compared with that of the targets; for classes, the share of the
commonest answer with the share of the commonest class.

Why it matters:
The model has become a constant. It is a symptom: of dead units, a head that cannot move, scrambled pairs, a learning rate too high or too
low.

What to do:
Look at the findings above it: one of them is the cause, and when that is mended this is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window, outputs, trace

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen, first = window.read(trace.ENTRY), window.read(outputs.ENTRY)
    if not seen.run.finite or not seen.run.updates:
        return NotApplicable("the watched run did not stay finite, or made no update")
    output = window.setup.judged(seen.made.model, first.inputs).double()
    if first.classes and first.output.ndim == 2:
        shares = output.argmax(dim=1).bincount().double() / len(output)
        truth = first.target.reshape(-1).clamp_min(0).bincount().double() / len(first.target)
        if float(shares.max()) <= 0.99 or float(truth.max()) > 0.8:
            return None
        evidence = (
            f"after {seen.run.updates} updates {float(shares.max()):.0%} of the answers are class {int(shares.argmax())}, of which "
            f"there are "
        )
        evidence += f"{float(truth[int(shares.argmax())]) if int(shares.argmax()) < len(truth) else 0.0:.0%}"
        return RULE.finding(evidence, "find the cause among the other findings", place="the model's output", step=seen.run.updates)
    if output.shape[0] != len(first.target) or not first.target.is_floating_point():
        return None
    spread, wanted = float(output.std(dim=0).mean()), float(first.target.double().std(dim=0).mean())
    if output.numel() != first.target.numel() or spread > 1e-3 * wanted or wanted == 0:
        return None
    evidence = f"after {seen.run.updates} updates the predictions spread by {spread:.1g}, the targets by {wanted:.3g}"
    return RULE.finding(evidence, "find the cause among the other findings", place="the model's output", step=seen.run.updates)


RULE = Rule(
    code="FL605",
    name="collapsed_output",
    title="The same prediction for every case",
    faults=("R12",),
    severity="stop",
    stage="symptom",
    check=check,
)


def _dead() -> Problem:
    import torch
    from torch import nn

    def model() -> nn.Module:
        made = network()
        with torch.no_grad():
            made[2].bias.fill_(-50.0)  # type: ignore[index]  # a Sequential
        return made

    return numbers(model=model)


FIRES: Cases = {"a dead layer": _dead}
SILENT: Cases = {"predictions that vary": numbers}
