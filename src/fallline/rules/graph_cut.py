"""The loss does not reach weights that are used

How it is detected:
The user's loss goes backward on the first batches. Trainable parameters that the optimizer holds, whose module was called, and which got
no gradient on any batch are cut off. Weights under `no_grad` that the optimizer does not hold are taken for frozen on purpose.

Why it matters:
`detach`, `.data`, `.item()`, `torch.tensor(x)`, a trip through numpy or a `no_grad` block on the way break the chain. Everything before
it stays at its initial values, and the rest learns on random features.

What to do:
Take the detour out, or keep it to what must not learn. `x.clone()` copies and keeps the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, layers
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import network, numbers
from fallline.signals import Window, gradients, parameters

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen, sets = window.read(gradients.ENTRY), window.read(parameters.ENTRY)
    held = set(sets.held)
    cut = [name for name in seen.cut if name in held]
    nothing = [name for name in seen.used if seen.largest[name] is not None and seen.largest[name] == 0.0 and name in held]
    if not cut:
        if nothing and len(nothing) == len(seen.used):
            evidence = "all gradients are exactly 0 on the first batches: the loss does not depend on any weight"
            remedy = "look for a constant output, or a loss that is computed from rounded or compared values"
            return RULE.finding(evidence, remedy, place="model")
        return None
    evidence = (
        f"{len(cut)} of {len(seen.used)} trainable parameters that are used, {cut[0]} first, get no gradient from the loss on any of the "
        "first batches"
    )
    remedy = "look behind them for detach, .data, .item(), numpy or no_grad in forward, and take it out"
    return RULE.finding(evidence, remedy, place=", ".join(cut[:3]), figures={"cut": len(cut), "used": len(seen.used)})


def changes(window: Window, finding: Finding) -> list[Change]:
    return [layers.rejoined()] if "cut" in finding.figures else []


RULE = Rule(
    code="FL209",
    name="graph_cut",
    title="The loss does not reach weights that are used",
    faults=("M09",),
    severity="stop",
    stage="model",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL605", "FL606"),
)


def _cut(where: str) -> Problem:
    import torch
    from torch import Tensor, nn

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.out = network(16), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            features: Tensor = self.body(x)
            if where == "copied":
                features = features.clone()
            if where == "listed":
                features = torch.tensor(features.tolist())
            return self.out(features.detach() if where == "detached" else features)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Cut)


def _frozen_by_no_grad() -> Problem:
    import torch
    from torch import Tensor, nn

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.out = network(16), nn.Linear(16, 1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                features = self.body(x)
            return self.out(features)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Frozen, optimizer=lambda model: torch.optim.Adam(model.out.parameters(), lr=1e-2))


FIRES: Cases = {"features that are detached": lambda: _cut("detached"), "features that went through a list": lambda: _cut("listed")}
SILENT: Cases = {
    "features that are cloned": lambda: _cut("copied"),
    "a body under no_grad that the optimizer does not hold": _frozen_by_no_grad,
}
