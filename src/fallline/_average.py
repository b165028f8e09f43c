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
        self.follow(model)

    def follow(self, model: nn.Module) -> None:
        """Average these weights from now on; to be called again where the storage of either model was exchanged."""
        pairs = [(mine.detach(), theirs.detach()) for mine, theirs in zip(_tensors(self.model), _tensors(model), strict=True)]
        self._copied = [(mine, theirs) for mine, theirs in pairs if not mine.is_floating_point()]
        self._mine = [mine for mine, _ in pairs if mine.is_floating_point()]
        self._theirs = [theirs for mine, theirs in pairs if mine.is_floating_point()]

    @staticmethod
    def decay_at(decay: float, step: int) -> float:
        """A young average forgets its start: decay grows as (1 + step) / (10 + step), as in TensorFlow's ExponentialMovingAverage."""
        return min(decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, step: int) -> None:
        torch._foreach_lerp_(self._mine, self._theirs, 1 - self.decay_at(self.decay, step))
        for mine, theirs in self._copied:
            mine.copy_(theirs)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
