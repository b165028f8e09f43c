"""Gradients explode

How it is detected:
In the watched run the norm of all gradients is far larger at some steps than at the median of the steps before, or not finite, or large
from the first step of a run that diverges. The run is repeated with gradients clipped at that median, at 1 at most, and with the lr divided
by 10, 100 and 1000. The finding needs that the clip makes much more progress than the run as it is, and at least as much as the best of the
smaller learning rates: where one of them does as well, the steps were too long and not the gradients.

Why it matters:
Through many layers or moments gradients grow by a factor at each. One such step throws the weights far away, however good the others are.

What to do:
Clip at about the usual norm (`clip=`), start recurrent weights orthogonal, add norms or residual connections, shorten the sequences.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fallline.rules import Cases, NotApplicable, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, reruns, trace

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.signals._setup import Made

USUAL = 1.0  # where gradients are clipped by custom
FACTORS = (0.1, 0.01, 0.001)  # of the lr, as the rule on a learning rate too high tries them
FAR = 30.0  # times the median of the steps before; gradients of a healthy run vary by less than ten


def check(window: Window) -> Outcome:
    seen = window.read(trace.ENTRY)
    if window.setup.problem.loop is not None or window.setup.problem.clip is not None:
        return NotApplicable("a clip is there, or may be, in the user's own loop")
    found = _burst(seen.events.whole_norms, seen.diverged)
    if found is None:
        return None
    at, norm, before = found
    limit = min(before, USUAL)
    tries = window.read(reruns.ENTRY)
    own = tries.own()
    if not seen.diverged and own.gain > 0.5 * abs(own.start):
        return None

    def clipped(made: Made) -> None:
        import torch

        made.clip = lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, limit)

    cut = tries.of(f"clipped at {limit:.3g}", clipped)
    if not cut.finite or cut.gain < 0.2 * abs(cut.start) or cut.gain < 2 * own.gain:
        return None
    factor, calmer = max(((factor, tries.lr(factor)) for factor in FACTORS), key=lambda tried: tried[1].gain)
    if cut.gain < calmer.gain:
        return None
    size = f"{norm:.3g}" if math.isfinite(norm) else "inf or NaN"
    ended = f"{own.end:.4g}" if own.finite else "NaN or inf"
    evidence = (
        f"at update {at} the norm of the gradients is {size}, where {before:.3g} is usual; after {own.updates} "
        f"updates the loss is "
        f"{ended} from {own.start:.4g}, clipped at {limit:.3g} it is {cut.end:.4g}, with the lr multiplied by {factor:g} {calmer.end:.4g}"
    )
    figures = {"norm": norm, "before": before, "end": own.end, "end clipped": cut.end}
    return RULE.finding(evidence, f"clip the gradients at a norm of about {limit:.2g}", place="training", step=at, figures=figures)


def _burst(norms: Mapping[int, float], diverged: bool) -> tuple[int, float, float] | None:
    """The first step whose gradients are far larger than the median of those before, or than usual: update, norm, that median."""
    before: list[float] = []
    first = next(iter(norms.values()), 0.0)
    if diverged and not first <= FAR * USUAL:
        return next(iter(norms)), first, USUAL
    for update, norm in norms.items():
        usual = sorted(before)[len(before) // 2] if before else math.inf
        if before and usual > 0 and not norm <= FAR * usual:
            return update, norm, usual
        before.append(norm)
    return None


RULE = Rule(
    code="FL602",
    name="gradients_explode",
    title="Gradients explode",
    faults=("R02",),
    severity="stop",
    stage="setting",
    check=check,
    explains=("FL303", "FL601", "FL604", "FL605"),
)


def _recurrent(gain: float) -> Problem:
    import torch
    from torch import Tensor, nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.out = nn.RNN(1, 24, batch_first=True, nonlinearity="relu"), nn.Linear(24, 1)
            nn.init.orthogonal_(self.cells.weight_hh_l0, gain=gain)  # type: ignore[arg-type]  # a parameter

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.cells(x)[0][:, -1])  # type: ignore[no-any-return]  # Module.__call__ is untyped

    x = torch.randn(480, 30, 1, generator=torch.Generator().manual_seed(0))
    y = x[:, -4:, 0].sum(dim=1, keepdim=True) / 2
    return numbers(model=Recurrent, train=(x, y), valid=None, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.02))


FIRES: Cases = {"recurrent weights that grow": lambda: _recurrent(1.8)}
SILENT: Cases = {"recurrent weights that keep": lambda: _recurrent(0.9), "two layers": numbers}
