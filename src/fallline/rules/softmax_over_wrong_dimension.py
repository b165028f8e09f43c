"""Softmax over the wrong dimension

How it is detected:
The outputs, or their exponentials, sum to 1 over the cases of a batch or over another axis that is not the classes'. Exchanging the other
cases of a batch changes the output of a case, and a softmax over the first dimension is called.

Why it matters:
Each case is then normalised by its neighbours: predictions depend on who else is in the batch, and a batch of one says 1.0 for
everything. Training may go on and even improve, but the numbers mean nothing.

What to do:
Say the dimension of the classes: `softmax(dim=1)` for outputs (N, C) and (N, C, T), `dim=-1` for (N, T, C). Never leave `dim` out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import classes, network, with_head
from fallline.signals import Unavailable, Window, axes, calls, mixing, outputs

if TYPE_CHECKING:
    from torch import Tensor

    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    first, seen = window.read(outputs.ENTRY), window.read(calls.ENTRY)
    over_first = [call for call in seen.named("softmax", "log_softmax") if call.dim == 0 and call.ndim >= 2]
    right = first.probabilities or first.log_probabilities
    wrong = _beside_what_is_read(window) if seen.last in ("softmax", "log_softmax") else None
    if wrong is not None:
        summed, read = wrong
        evidence = (
            f"the outputs sum to 1 over axis {summed} of {('N', *first.output.shape[1:])}, while the loss reads classes along axis {read}"
        )
        remedy = "normalise over the axis that the loss reads as classes"
        return RULE.finding(evidence.replace("'", ""), remedy, place=seen.last_place or "forward")
    axis = _summed_axis(first.output) if seen.last in ("softmax", "log_softmax") and not right else None
    if over_first:
        mixes = window.read(mixing.ENTRY)
        if mixes.mixed or mixes.over_batch:
            call = over_first[-1]
            evidence = (
                f"{call.name} in {call.place or 'forward'} runs over dimension 0, the cases of a batch: exchanging other cases moves the "
                f"output of a case by {mixes.others:.2g} of the outputs' spread"
            )
            remedy = "normalise over the classes: dim=1 for (N, C), dim=-1 where they come last"
            return RULE.finding(evidence, remedy, place=call.place or "forward", figures={"moved": mixes.others})
    if axis is not None and axis != 1 and first.output.ndim > 2 and first.classes:
        evidence = f"the outputs sum to 1 over axis {axis} of {('N', *first.output.shape[1:])}, while the loss reads classes along axis 1"
        remedy = "normalise over the axis that the loss reads as classes"
        return RULE.finding(evidence.replace("'", ""), remedy, place=seen.last_place or "forward")
    return None


def _beside_what_is_read(window: Window) -> tuple[int, int] | None:
    """The axis over which outputs sum to 1, and another along which the loss finds the classes of a position."""
    try:
        read = window.read(axes.ENTRY).axis
    except Unavailable:
        return None
    summed = _summed_axis(window.read(outputs.ENTRY).output)
    return None if read is None or summed in (None, read) else (int(summed or 0), read)


def _summed_axis(output: Tensor) -> int | None:
    """The axis over which outputs, or their exponentials, sum to 1."""
    values = output.double()
    for axis in range(values.ndim):
        if values.shape[axis] > 1 and any(bool(((form.sum(dim=axis) - 1).abs() < 1e-4).all()) for form in (values, values.exp())):
            return axis
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    over = window.read(calls.ENTRY).named("softmax", "log_softmax")
    wrong = [call for call in over if call.dim == 0 and call.ndim >= 2] or over[-1:]
    dims = (1, -1) if max(call.ndim for call in wrong) > 2 else (1,)
    return [layers.over_dimension(wrong, dim) for dim in dims]


RULE = Rule(
    code="FL105",
    name="softmax_over_wrong_dimension",
    title="Softmax over the wrong dimension",
    faults=("L05",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL101", "FL104", "FL107", "FL303", "FL304"),
)


def _over_cases() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.LogSoftmax(dim=0)), loss=nn.NLLLoss())


def _over_places() -> Problem:
    import torch
    from torch import nn

    tokens = torch.randint(0, 5, (480, 7), generator=torch.Generator().manual_seed(0))
    model = lambda: nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5), nn.LogSoftmax(dim=1))  # noqa: E731
    loss = lambda output, target: nn.functional.nll_loss(output.transpose(1, 2), target)  # noqa: E731
    return classes(model=model, train=(tokens, (tokens + 1) % 5), valid=None, loss=loss, metric=None)


def _attention_over_cases() -> Problem:
    from torch import nn

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score, self.body = nn.Linear(6, 6), network(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x * self.score(x).softmax(dim=0))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return classes(model=Attention)


def _over_classes() -> Problem:
    from torch import nn

    return classes(model=lambda: with_head(nn.LogSoftmax(dim=-1)), loss=nn.NLLLoss())


FIRES: Cases = {
    "log_softmax over the cases": _over_cases,
    "log_softmax over the places of a sentence": _over_places,
    "gates that are normalised over the cases": _attention_over_cases,
}
SILENT: Cases = {"log_softmax over the classes": _over_classes, "no softmax": classes}
