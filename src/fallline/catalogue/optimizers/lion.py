"""Lion

What it does:
Every weight moves by exactly lr, in the direction of the sign of a mixture of momentum and the newest gradient: w <-
w - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w), then m forgets with beta2. One float of state a
weight. Found by a program search.

When it suits:
Large batches and transformers, vision ones above all, where it equals AdamW at half of its state. The sign makes it
indifferent to the size of gradients and to outliers among them.

When it does not:
Do not bring AdamW's lr: since every weight moves fully, Lion wants a third to a tenth of it, and three to ten times
its weight_decay, so that their product stays. Small batches, in which the sign is mostly noise. Ends that need small
steps: lr has to fall to nearly zero, since the step does not shrink by itself.

Source:
X. Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023. pytorch_optimizer.Lion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr",)


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("Lion", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.Lion(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="lion",
    title="Lion",
    source="Chen et al. (2023), Symbolic Discovery of Optimization Algorithms",
    space={
        "lr": lr(1e-4, "the paper's and the library's: a tenth of Adam's", low=1e-5, high=1e-2),
        "beta1": beta1(0.9, "the paper's: the mixture that gives the sign"),
        "beta2": beta2(0.99, "the paper's: momentum over about 100 steps"),
        "weight_decay": weight_decay(0.0, "the library's default; the paper trains with 0.1 to 1", high=1.0),
    },
    example={"lr": 0.01, "beta1": 0.3, "beta2": 0.9, "weight_decay": 0.1},
    family="sign",
    build=build,
    code=code,
    state_copies=1,
    package="pytorch_optimizer",
)
