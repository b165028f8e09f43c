"""Nearest neighbours of embeddings, block by block: what metrics of retrieval are counted from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BLOCK = 1 << 24  # similarities held at a time: 128 MB in float64


def similar(scores: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """(numbers of some examples, their cosine similarity to all others (B, N)); -inf to themselves, NaN where an embedding is NaN."""
    import torch

    unit = torch.nn.functional.normalize(scores.double(), dim=1)
    for rows in torch.arange(len(unit)).split(max(BLOCK // max(len(unit), 1), 1)):
        similarity = unit[rows] @ unit.T
        similarity[torch.arange(len(rows)), rows] = -float("inf")
        yield rows, similarity


def alike(target: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """(B, N): which other examples are of the class of each of `rows`."""
    import torch

    same = target[rows].unsqueeze(1) == target
    same[torch.arange(len(rows)), rows] = False
    return same
