"""Muon's matrix step for many lanes at once: `_muon.orthogonalised` of a batch of matrices. `_muon` is what exported scripts carry."""

from __future__ import annotations

import torch


def orthogonalised_lanes(matrices: torch.Tensor, steps: int) -> torch.Tensor:
    """`orthogonalised` of each of many matrices (lanes, rows, columns) at once."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.mT if matrices.size(1) > matrices.size(2) else matrices
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if matrices.size(1) > matrices.size(2) else x
