"""SOAP

What it does:
Adam in the coordinates that Shampoo finds: for each matrix it keeps averages of G G^T and G^T G, turns the gradient
into their eigenvectors' directions, runs Adam there, and turns the step back. The directions are brought up to date
every precondition_frequency steps by one step of power iteration. The very first step only measures and moves
nothing.

When it suits:
Networks whose weights are mostly matrices, at batches large enough for good statistics: language models, where the
paper needs 40 % fewer steps than AdamW; physics-informed networks with badly scaled directions.

When it does not:
State and time: a square matrix keeps six times its own size, and every few steps a decomposition of both sides is
made, hundreds of times a small step's cost at a width of 1,000. Models that are mostly embeddings or convolutions
with short sides. Compare it with Muon, which does nearly the same for less.

Source:
N. Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, ICLR 2025. pytorch_optimizer.SOAP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, library, lr, needs_matrices, weight_decay

if TYPE_CHECKING:
    import torch

PLAIN = ("lr", "precondition_frequency", "eps")


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    return library("SOAP", groups, h["weight_decay"], betas=(h["beta1"], h["beta2"]), **{name: h[name] for name in PLAIN})


def code(h: Settings, fast: str) -> str:
    shown = ", ".join(f"{name}={h[name]!r}" for name in PLAIN)
    return f"pytorch_optimizer.SOAP(groups, betas=({h['beta1']!r}, {h['beta2']!r}), {shown})"


ENTRY = Optimizer(
    name="soap",
    title="SOAP",
    source="Vyas et al. (2025), SOAP",
    space={
        "lr": lr(3e-3, "the paper's and the library's", low=1e-4, high=3e-2),
        "beta1": beta1(0.95, "the paper's"),
        "beta2": beta2(0.95, "the paper's"),
        "precondition_frequency": Hyperparameter(
            default=10, why="the paper's; 1 is best and slowest", low=1, high=50, log=True, whole=True, above_zero=True
        ),
        "eps": eps(why="the paper's: far below any gradient that matters"),
        "weight_decay": weight_decay(0.01, "the paper's and the library's"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "precondition_frequency": 2, "eps": 0.001, "weight_decay": 0.1},
    family="matrix",
    build=build,
    code=code,
    state_copies=9,
    measures_first=True,
    refuses=needs_matrices,
    package="pytorch_optimizer",
)
