"""Weights that the model does not know of

How it is detected:
The graph behind the loss is walked to its leaves. A leaf that wants a gradient and is in neither `model.parameters()` nor the loss's is a
weight that takes part and is not registered.

Why it matters:
Layers in a plain list or dict, or tensors with `requires_grad=True` instead of `nn.Parameter`, are used in forward but are in no
optimizer, no `state_dict`, and do not move with `.to(device)`. They stay at their random values.

What to do:
`nn.ModuleList` or `nn.ModuleDict` in place of list and dict, `nn.Parameter` in place of a bare tensor, layers made in `__init__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window, gradients

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(gradients.ENTRY)
    if not seen.unregistered:
        return None
    shapes = ", ".join("x".join(map(str, shape)) or "a scalar" for shape in seen.unregistered[:4])
    count = len(seen.unregistered)
    evidence = f"{count} tensors that the loss reaches (shapes {shapes}) are not among model.parameters(), so nothing trains or saves them"
    faults = ("M12", "M02") if _changes(window) else ("M02",)
    if faults[0] == "M12":
        evidence += "; two passes in eval mode differ, so they are made anew in forward"
    remedy = "hold layers in nn.ModuleList or nn.ModuleDict and weights in nn.Parameter, made in __init__"
    return RULE.finding(evidence, remedy, place="model", faults=faults, figures={"tensors": count})


def _changes(window: Window) -> bool:
    from fallline.signals import outputs

    return window.read(outputs.ENTRY).difference > 1e-3


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.registered()] if finding.faults[0] == "M02" else []  # what forward makes anew has no place


RULE = Rule(
    code="FL202",
    name="unregistered_modules",
    title="Weights that the model does not know of",
    faults=("M02",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL201", "FL207", "FL301", "FL304", "FL415", "FL606"),
)


def _in_a_list() -> Problem:
    from torch import Tensor, nn

    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(6, 6) for _ in range(2)]
            self.out = nn.Linear(6, 1)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x).relu()
            return self.out(x)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Listed)


def _made_in_forward() -> Problem:
    from torch import Tensor, nn

    class Fresh(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network(6)

        def forward(self, x: Tensor) -> Tensor:
            return nn.Linear(6, 1)(self.body(x))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Fresh)


FIRES: Cases = {"layers in a plain list": _in_a_list, "a layer that is made in forward": _made_in_forward}
SILENT: Cases = {"layers in a Sequential": numbers}
