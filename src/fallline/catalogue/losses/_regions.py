"""Losses of overlap, counted over the whole batch; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def in_places(values: torch.Tensor, classes: bool) -> torch.Tensor:
    """Classes (N, C, ...) as (places, C). Yes or no as (places, columns): several labels (N, L) are several columns, a mask of any shape,
    (N, H, W) or (N, 1, H, W), asks one question at every place."""
    if classes:
        return values.movedim(1, -1).flatten(0, -2)
    return values.reshape(len(values), -1) if values.ndim <= 2 else values.reshape(-1, 1)


def truth_of(output: torch.Tensor, target: torch.Tensor, ignore_index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The truth as 0 and 1, (places, columns), one column a class; and 1 for each place that counts, (places, 1).

    Places that do not count are weighed with zero and not left out, so that no shape depends on the data.
    """
    if output.shape == target.shape:
        truth = in_places(target, classes=False)
        return truth, torch.ones_like(truth[:, :1])
    kept = (target != ignore_index).flatten().unsqueeze(1)
    classes = torch.arange(output.shape[1], device=target.device)
    return ((target.flatten().unsqueeze(1) == classes) & kept).to(output.dtype), kept.to(output.dtype)


def tversky_loss(
    false_positives: float, false_negatives: float, smooth: float, ignore_index: int
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """1 - overlap / (overlap + a * false positives + b * false negatives), averaged over classes; Dice is a = b = 1/2."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        truth, counts = truth_of(output, target, ignore_index)
        logits = in_places(output, classes=output.shape != target.shape)
        probability = logits.sigmoid() if output.shape == target.shape else logits.softmax(dim=1)
        # Means in the place of sums: `smooth` then does not depend on the size of the batch.
        weight = counts / counts.sum()
        overlap = (weight * probability * truth).sum(dim=0)
        spilt = (weight * probability * (1.0 - truth)).sum(dim=0)
        missed = (weight * (1.0 - probability) * truth).sum(dim=0)
        return (1.0 - (overlap + smooth) / (overlap + false_positives * spilt + false_negatives * missed + smooth)).mean()

    return loss


def dice_ce_loss(dice_weight: float, smooth: float, ignore_index: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross-entropy plus `dice_weight` times the Dice loss."""
    overlap = tversky_loss(0.5, 0.5, smooth, ignore_index)

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if output.shape == target.shape:
            entropy = binary_cross_entropy_with_logits(output, target)
        else:
            entropy = cross_entropy(output, target, ignore_index=ignore_index)
        return entropy + dice_weight * overlap(output, target)

    return loss


def lovasz_loss(ignore_index: int) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The Lovasz extension of 1 - intersection over union: hinge errors for yes or no, softmax errors for classes."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        truth, counts = truth_of(output, target, ignore_index)
        logits = in_places(output, classes=output.shape != target.shape)
        if output.shape == target.shape:
            errors, present = (1.0 - logits * (2.0 * truth - 1.0)).clamp(min=0.0), torch.ones_like(truth[0])
        else:
            errors = (truth - logits.softmax(dim=1)).abs() * counts  # at zero a place is sorted last, and counts nothing
            present = truth.amax(dim=0)  # classes that occur in the batch: for the others any output at all is equally wrong
        errors, order = errors.sort(dim=0, descending=True)
        ordered = truth.gather(0, order)
        intersection = ordered.sum(dim=0) - ordered.cumsum(dim=0)
        union = ordered.sum(dim=0) + (1.0 - ordered).cumsum(dim=0)
        jaccard = 1.0 - intersection / union  # of the first k places taken as wrong
        steps = torch.diff(jaccard, dim=0, prepend=torch.zeros_like(jaccard[:1]))
        return ((errors * steps).sum(dim=0) * present).sum() / present.sum()

    return loss
