"""Weight decay on norms and biases

How it is detected:
A group with a weight decay of 0.05 or more holds parameters with one dimension: biases and the scales of norms.

Why it matters:
Decay pulls the scales of norms to 0, where there is nothing to be regularised. It is often harmless, and costs a little with strong decay
and long training.

What to do:
Two groups: decay for matrices, none for one-dimensional parameters and embeddings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.rules import Cases, Outcome, Rule
from fallline.rules._setups import numbers
from fallline.signals import Window, parameters

if TYPE_CHECKING:
    from fallline._problem import Problem


STRONG = 0.05


def check(window: Window) -> Outcome:
    from fallline._kinds import NORMS

    sets = window.read(parameters.ENTRY)
    model = window.setup.make().model
    parts = [(path, part) for path, part in model.named_modules() if isinstance(part, NORMS)]
    norms = {f"{path}.{name}" for path, part in parts for name, _ in part.named_parameters(recurse=False)}
    decayed = [name for group in sets.groups if group.get("weight_decay", 0) >= STRONG for name in group["names"]]
    hit = [name for name in decayed if name in norms or name.endswith("bias")]
    if not norms & set(decayed):
        return None
    evidence = f"{len(hit)} norms and biases ({', '.join(hit[:3])}) are in a group with a weight_decay of {STRONG:g} or more"
    remedy = "put parameters of one dimension into a group without decay"
    return RULE.finding(evidence, remedy, place=hit[0], figures={"parameters": len(hit)})


RULE = Rule(
    code="FL307",
    name="decay_on_norms_and_biases",
    title="Weight decay on norms and biases",
    faults=("O07",),
    severity="info",
    stage="optimizer",
    check=check,
)


def _normed(decay: float) -> Problem:
    import torch
    from torch import nn

    return numbers(
        model=lambda: nn.Sequential(nn.Linear(6, 24), nn.LayerNorm(24), nn.ReLU(), nn.Linear(24, 1)),
        optimizer=lambda model: torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=decay),
    )


FIRES: Cases = {"decay of 0.1 on a layer norm": lambda: _normed(0.1)}
SILENT: Cases = {"decay of 0.01": lambda: _normed(0.01), "no norm": numbers}
