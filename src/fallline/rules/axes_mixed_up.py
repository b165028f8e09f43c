"""Axes mixed up: cases or positions leak into each other

How it is detected:
Three tests. Exchanging the other cases of a batch must not change the output of a case in eval mode. Changing the target at one position
must change the loss's gradient at one position only, along one axis. Where classes could lie on two axes, the inputs are changed at one
position, and the outputs that move most must lie at the position that the loss reads.

Why it matters:
A `view` or `reshape` where a `permute` was meant keeps all shapes right and scrambles what they mean. The model is asked for the class of
one position with the numbers of others, and learns at best the average.

What to do:
Use `permute` or `transpose` to change the order of axes, `reshape` only to merge neighbours. `cross_entropy` reads (N, C, T). Recurrent
and attention layers read (T, N, F) unless `batch_first=True`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.changes import Change, losses
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import classes, network
from fallline.signals import Unavailable, Window, axes, mixing, outputs, targets

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    found = _scrambled(window)
    if found is not None:
        return found
    mixes = window.read(mixing.ENTRY)
    if not mixes.mixed:
        return None
    if any(module.track_running_stats is False for module in _norms(window)):
        return NotApplicable("batch norm without running statistics mixes cases on purpose")
    evidence = f"in eval mode the output of a case moves by {mixes.others:.2g} of the outputs' spread when only other cases are exchanged"
    remedy = "look for view or reshape where permute was meant, and for recurrent or attention layers without batch_first=True"
    return RULE.finding(evidence, remedy, place="forward", figures={"moved": mixes.others})


def _scrambled(window: Window) -> Finding | None:
    try:
        seen = window.read(axes.ENTRY)
    except Unavailable:
        return None
    if seen.scattered > 0.5:
        evidence = f"the loss at one position reads outputs of several positions or cases ({seen.scattered:.0%} of those that were tried)"
        return RULE.finding(evidence, "permute the axes before reshaping: output.permute(0, 2, 1).reshape(-1, classes)", place="loss")
    if seen.swapped > 3.0:  # times: an attention layer moves all positions, but its own most
        evidence = (
            f"a change of the input at one position moves the outputs along the last axis {seen.swapped:.1f} times as much as those that "
            "the loss reads for that position: the loss takes positions for classes"
        )
        return RULE.finding(evidence, "give the loss (N, C, T): output.transpose(1, 2)", place="loss", figures={"ratio": seen.swapped})
    return None


def _norms(window: Window) -> list[Any]:
    from torch import nn

    return [module for module in window.setup.make().model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


def changes(window: Window, finding: Finding) -> list[Change]:
    if finding.place != "loss":
        return []  # what mixes lies inside forward
    plain = losses.plain(losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train))
    return [losses.transposed(), *([] if "ratio" in finding.figures else [plain])]


RULE = Rule(
    code="FL107",
    name="axes_mixed_up",
    title="Axes mixed up: cases or positions leak into each other",
    faults=("L07",),
    severity="stop",
    stage="loss",
    check=check,
    changes=changes,
    explains=("FL303", "FL304", "FL415", "FL506"),
)


def _viewed() -> Problem:
    from torch import Tensor, nn

    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(3)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.t().reshape(len(x), -1))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return classes(model=Viewed)


def _recurrent(batch_first: bool) -> Problem:
    import torch
    from torch import Tensor, nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.out = nn.GRU(2, 12, batch_first=batch_first), nn.Linear(12, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.cells(x)[0][:, -1])  # type: ignore[no-any-return]  # Module.__call__ is untyped

    x = torch.randn(480, 7, 2, generator=torch.Generator().manual_seed(0))
    return classes(model=Recurrent, train=(x, (x.sum(dim=(1, 2)) > 0).long()), valid=None)


def _positions(loss_axes: str) -> Problem:
    import torch
    from torch import nn

    tokens = torch.randint(0, 5, (480, 5), generator=torch.Generator().manual_seed(0))
    model = lambda: nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 5))  # noqa: E731
    losses = {
        "read as (N, T, C)": lambda output, target: nn.functional.cross_entropy(output.transpose(1, 2), target),
        "read as (N, C, T)": nn.CrossEntropyLoss(),
        "scrambled": lambda output, target: nn.functional.cross_entropy(output.transpose(1, 2).reshape(-1, 5), target.reshape(-1)),
    }
    return classes(model=model, train=(tokens, (tokens + 1) % 5), valid=None, loss=losses[loss_axes], metric=None)


FIRES: Cases = {
    "reshape where a transpose was undone": _viewed,
    "a recurrent layer without batch_first": lambda: _recurrent(False),
    "outputs (N, T, C) with as many classes as positions": lambda: _positions("read as (N, C, T)"),
    "scores (N, C, T) reshaped to rows of C": lambda: _positions("scrambled"),
}
SILENT: Cases = {
    "rows of a table": classes,
    "a recurrent layer with batch_first": lambda: _recurrent(True),
    "outputs (N, T, C) transposed for the loss": lambda: _positions("read as (N, T, C)"),
}
