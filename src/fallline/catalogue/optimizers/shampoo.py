"""Shampoo

What it does:
For each matrix it keeps averages (beta2) of G G^T and G^T G, the curvature along its rows and along its columns, and puts the
averaged gradient (beta1) between their inverse fourth roots, so that steep directions are shortened and flat ones
lengthened, whole directions and not single weights. How far a matrix moves is what Adam would move it, as the authors
of the large-scale versions do it, so AdamW's lr serves. Biases and norms follow Adam. Roots are taken anew every
precondition_frequency steps, in double precision; sides longer than 1,024 are left as they are.

When it suits:
Networks whose weights are mostly matrices and whose directions are badly scaled, at batches large enough for good
statistics: it won the external-tuning track of the AlgoPerf competition of 2024.

When it does not:
State and time: a square matrix keeps six times its own size, and every few steps two decompositions are made, hundreds
of times a small step's cost at a width of 1,000. Compare it with Muon, which does nearly the same for less, and with
SOAP, which runs Adam in its directions.

Source:
V. Gupta, T. Koren and Y. Singer, Shampoo: Preconditioned Stochastic Tensor Optimization, ICML 2018; H.-J. M. Shi et al.,
A Distributed Data-Parallel PyTorch Implementation of the Distributed Shampoo Optimizer (2023), arXiv:2309.06497. No class in torch;
pytorch_optimizer's takes roots of numbers below float32's digits and does not go down a quadratic bowl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import beta1, beta2, eps, lr, needs_matrices, torch_groups, weight_decay

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    from fallline.catalogue.optimizers._shampoo import Shampoo

    betas, every = (h["beta1"], h["beta2"]), h["precondition_frequency"]
    return Shampoo(torch_groups(groups, h["weight_decay"]), lr=h["lr"], betas=betas, precondition_frequency=every, eps=h["eps"])


def code(h: Settings, fast: str) -> str:
    betas, every = (h["beta1"], h["beta2"]), h["precondition_frequency"]
    return f"Shampoo(groups, lr={h['lr']!r}, betas={betas!r}, precondition_frequency={every!r}, eps={h['eps']!r})"


ENTRY = Optimizer(
    name="shampoo",
    title="Shampoo",
    source="Gupta et al. (2018); Shi et al. (2023), arXiv:2309.06497",
    space={
        "lr": lr(1e-3, "AdamW's, whose step length it takes over", low=1e-4, high=3e-2),
        "beta1": beta1(0.9, "Shi et al.'s"),
        "beta2": beta2(0.99, "between Shi et al.'s 0.999 for long trainings and SOAP's 0.95"),
        "precondition_frequency": Hyperparameter(
            default=10,
            why="as in SOAP: directions change slowly; 1 is best and slowest",
            low=1,
            high=50,
            log=True,
            whole=True,
            above_zero=True,
        ),
        "eps": eps(why="far below any gradient that matters; of the largest eigenvalue in a root, which double precision resolves"),
        "weight_decay": weight_decay(0.01, "AdamW's default"),
    },
    example={"lr": 0.01, "beta1": 0.8, "beta2": 0.9, "precondition_frequency": 2, "eps": 0.001, "weight_decay": 0.1},
    family="matrix",
    build=build,
    code=code,
    state_copies=15,  # of a small kernel, whose columns are many beside its weights; 6 of a square matrix
    refuses=needs_matrices,
    carries="fallline.catalogue.optimizers._shampoo",
    matrices=True,
)
