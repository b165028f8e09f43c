"""Averaged weights: an exponential moving average that is handed back, or that only rungs read."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of parameters and floating buffers; integer buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.decay = decay
        self._pairs = [(a, b.detach()) for a, b in zip(_tensors(self.model), _tensors(model), strict=True) if a.is_floating_point()]
        self._copied = [(a, b.detach()) for a, b in zip(_tensors(self.model), _tensors(model), strict=True) if not a.is_floating_point()]
        self._mine = [a for a, _ in self._pairs]
        self._theirs = [b for _, b in self._pairs]

    @torch.no_grad()
    def update(self, step: int) -> None:
        # a young average forgets its start: decay grows as (1 + step) / (10 + step), as in TensorFlow's ExponentialMovingAverage
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mine, self._theirs, 1 - decay)
        for mine, theirs in self._copied:
            mine.copy_(theirs)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
