"""AdEMAMix

What it does:
AdamW with two momenta: the usual fast one and a slow one that remembers some 10,000 steps (beta3 0.9999), added with
weight alpha. Gradients tens of thousands of steps old still help, and the slow average quietens noise. Three floats a
weight. weight_decay is decoupled.

When it suits:
Long trainings (100,000 steps and more) of language models and vision transformers: the paper's reach AdamW's loss
with about half of the tokens. Forgetting of early data is slower.

When it does not:
Trainings shorter than a few times 1 / (1 - beta3): with 0.9999 and 3,000 steps the slow momentum has hardly begun;
take 0.999, or AdamW. The paper raises alpha and beta3 over the length, which this entry does not. After a change of
the data the slow momentum goes on in the old direction.

Source:
M. Pagliardini, P. Ablin and D. Grangier, The AdEMAMix Optimizer: Better, Faster, Older, ICLR 2025.
pytorch_optimizer.AdEMAMix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "alpha", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library(
        "AdEMAMix",
        groups,
        h["weight_decay"],
        betas=(h["beta1"], h["beta2"], h["beta3"]),
        **{name: h[name] for name in PLAIN},
        weight_decouple=True,
    )


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.AdEMAMix(groups, betas=({h['beta1']!r}, {h['beta2']!r}, {h['beta3']!r}), {shown}, weight_decouple=True)"


ENTRY = Optimizer(
    name="ademamix",
    title="AdEMAMix",
    source="Pagliardini, Ablin and Grangier (2025), The AdEMAMix Optimizer",
    space={
        "lr": lr(1e-3, "the library's and the paper's", low=1e-5, high=3e-2),
        "beta1": beta1(),
        "beta2": beta2(),
        "beta3": Hyperparameter(default=0.9999, why="the paper's, for 100,000 steps and more", low=0.99, high=0.9999, below=1.0),
        "alpha": Hyperparameter(default=5.0, why="the library's; the paper has 4 to 10", low=1.0, high=10.0),
        "eps": eps(why="the paper's: far below any gradient that matters"),
        "weight_decay": weight_decay(0.1, "the paper's"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "beta3": 0.99, "alpha": 2.0, "eps": 0.001, "weight_decay": 0.5},
    family="adaptive",
    build=build,
    code=code,
    state_copies=3,
    package="pytorch_optimizer",
)
