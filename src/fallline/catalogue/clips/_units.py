"""Adaptive gradient clipping, unit by unit; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch


def unit_lengths(values: torch.Tensor) -> torch.Tensor:
    """The length of each output's weights; a bias or norm is one unit."""
    own = tuple(range(1, values.ndim))
    lengths: torch.Tensor = torch.linalg.vector_norm(values, dim=own or None, keepdim=bool(own))
    return lengths


@torch.no_grad()
def clip_by_unit(parameters: Sequence[torch.Tensor], clipping: float, smallest: float) -> object:
    """Shorten the gradient of each unit to `clipping` times the unit's own length."""
    for parameter in parameters:
        if parameter.grad is not None:
            bound, found = clipping * unit_lengths(parameter).clamp(min=smallest), unit_lengths(parameter.grad)
            parameter.grad.mul_(torch.where(found > bound, bound / found, 1.0))
    return None
