"""Counts of what was predicted against what is true, from which the F scores, recalls and correlations follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def confusion(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
    """Float64 (C, C) counts, rows true, columns predicted; (L, 2, 2) for several labels; None where a score is NaN.

    Class probabilities (N, C) predict the most probable class (of equals, the first), probabilities of yes predict yes above 0.5.
    """
    import torch

    if bool(scores.isnan().any()):
        return None  # a diverged model predicts nothing; argmax would call it the first class
    if scores.ndim > target.ndim:
        classes = scores.shape[1]
        return torch.bincount(target.long() * classes + scores.argmax(1), minlength=classes * classes).reshape(classes, classes).double()
    labels = target.reshape(len(target), -1) > 0
    cells = 2 * labels.long() + (scores.reshape(labels.shape) > 0.5)
    columns = torch.arange(cells.shape[1])
    counts = torch.bincount((4 * columns + cells).flatten(), minlength=4 * len(columns)).reshape(-1, 2, 2).double()
    return counts[0] if len(counts) == 1 else counts


def f_scores(true_positives: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """2 TP / (predicted + actual), zero where nothing was predicted or actual."""
    return 2 * true_positives / (predicted + actual).clamp(min=1)  # a whole number: below one there is nothing to count
