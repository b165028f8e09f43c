"""Counts of what was predicted against what is true, from which the F scores, recalls and correlations follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def confusion(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor | None:
    """Float64 (C, C) counts, rows true, columns predicted; (L, 2, 2) for several labels, one for masks; None where a score is NaN.

    Class probabilities (N, C) predict the most probable class (of equals, the first), probabilities of yes predict yes above 0.5.
    """
    import torch

    if bool(scores.isnan().any()):
        return None  # a diverged model predicts nothing; argmax would call it the first class
    if scores.ndim > target.ndim:
        classes = scores.shape[1]
        return torch.bincount(target.long() * classes + scores.argmax(1), minlength=classes * classes).reshape(classes, classes).double()
    likely, labels = as_columns(scores, target)
    cells = 2 * labels.long() + (likely > 0.5)
    columns = torch.arange(cells.shape[1])
    counts = torch.bincount((4 * columns + cells).flatten(), minlength=4 * len(columns)).reshape(-1, 2, 2).double()
    return counts[0] if len(counts) == 1 else counts


def as_columns(scores: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Yes/no scores and targets, one column a question: several labels are several, a mask asks one question at every position."""
    shape = (len(target), -1) if target.ndim <= 2 else (-1, 1)
    return scores.reshape(shape), target.reshape(shape) > 0


def f_scores(true_positives: torch.Tensor, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
    """2 TP / (predicted + actual), zero where nothing was predicted or actual."""
    return 2 * true_positives / (predicted + actual).clamp(min=1)  # a whole number: below one there is nothing to count
