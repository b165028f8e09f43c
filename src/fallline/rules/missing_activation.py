"""No activation between layers

How it is detected:
The input of the first layer is replaced by points on a line. If what the last layer gives at the middle of two points is the mean of what
it gives at both, the whole is one affine map, however many layers it has.

Why it matters:
Linear layers in a row are one linear layer. Depth and width buy nothing, and whatever bends in the data is lost. A narrow middle is an
exception: it is a low-rank map, made on purpose.

What to do:
Put an activation such as `nn.ReLU()` or `nn.GELU()` behind each layer but the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, linearity

if TYPE_CHECKING:
    from fallline._problem import Problem


STRAIGHT = 3e-5  # of the outputs' spread: float32 through a few layers


def check(window: Window) -> Outcome:
    seen = window.read(linearity.ENTRY)
    if seen.bend > STRAIGHT:
        return None
    inner = [out for out, _ in seen.sizes[:-1]]
    narrow = min(inner) < min(seen.sizes[0][1], seen.sizes[-1][0])
    evidence = (
        f"{len(seen.layers)} layers with weights ({', '.join(path or 'the model' for path in seen.layers[:4])}) act as one linear map: "
        f"their output bends by {seen.bend:.1g} of its spread along a line of inputs"
    )
    severity = "info" if narrow and len(seen.sizes) == 2 else "warn"
    remedy = "put an activation, such as ReLU or GELU, behind each layer but the last"
    return RULE.finding(evidence, remedy, place=seen.layers[0], severity=severity, figures={"bend": seen.bend, "layers": len(seen.layers)})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.rectified_between(window.read(linearity.ENTRY).layers[:-1])]


RULE = Rule(
    code="FL201",
    name="missing_activation",
    title="No activation between layers",
    faults=("M01",),
    severity="warn",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL605"),
)


def _straight() -> Problem:
    from torch import nn

    return numbers(model=lambda: nn.Sequential(nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 1)))


def _one_layer() -> Problem:
    from torch import nn

    return numbers(model=lambda: nn.Linear(6, 1))


def _recurrent() -> Problem:
    from torch import nn

    return numbers(model=lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 1)))


def _shared() -> Problem:
    import torch
    from torch import nn

    class Shared(nn.Module):
        """Its two layers are called twice, the first time side by side."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(6, 6), nn.Linear(6, 6)
            self.head = nn.Linear(6, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.one(input=x) + self.other(input=x)
            return self.head(input=self.one(input=x) + self.other(input=x))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Shared)


def _side_by_side() -> Problem:
    import torch
    from torch import nn

    class Branches(nn.Module):
        """A linear model in two parts, as DLinear is: a layer for the mean of the columns, a layer for what is left."""

        def __init__(self) -> None:
            super().__init__()
            self.level, self.rest = nn.Linear(6, 1), nn.Linear(6, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            level = x.mean(dim=1, keepdim=True).expand_as(x)
            return self.level(level) + self.rest(x - level)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Branches)


FIRES: Cases = {"three linear layers in a row": _straight, "layers called twice, by keyword": _shared}
SILENT: Cases = {
    "activations between": numbers,
    "a single layer": _one_layer,
    "one bend is enough": _recurrent,
    "linear layers side by side": _side_by_side,
}
