"""Muon's matrix step for many lanes at once: `_muon.orthogonalised` of a batch of matrices. `_muon` is what exported scripts carry."""

from __future__ import annotations

import torch

from fallline.catalogue.optimizers._muon import POLYNOMIALS


def orthogonalised_lanes(matrices: torch.Tensor, steps: int, polynomial: str) -> torch.Tensor:
    """`orthogonalised` of each of many matrices (lanes, rows, columns) at once."""
    x = matrices.mT if matrices.size(1) > matrices.size(2) else matrices
    rows = POLYNOMIALS[polynomial]
    norm = torch.linalg.vector_norm
    x = x / norm(x, dim=(1, 2), keepdim=True).clamp(min=1e-7)
    if polynomial == "polar_express":
        x = x / norm(x @ x.mT, dim=(1, 2), keepdim=True).clamp(min=1e-14).sqrt()
    for step in range(steps):
        a, b, c = rows[min(step, len(rows) - 1)]
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if matrices.size(1) > matrices.size(2) else x
