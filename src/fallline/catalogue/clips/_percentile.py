"""A clip that remembers the norms it has seen; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


class PercentileClip:
    """Shortens gradients to a percentile of the global norms of the last `window` steps, this one among them."""

    def __init__(self, percentile: float, window: int) -> None:
        self.share = percentile / 100.0
        self.norms = torch.full((window,), torch.nan)  # a ring: step k writes at k modulo the window
        self.seen = 0

    @torch.no_grad()
    def __call__(self, parameters: Sequence[torch.Tensor]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        self.norms = self.norms.to(norm.device)
        self.norms[self.seen % len(self.norms)] = norm.where(norm.isfinite(), torch.nan)  # what overflowed is no norm to remember
        self.seen += 1
        bound = torch.nanquantile(self.norms[: self.seen], self.share)
        scale = (bound / norm).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)

    def state_dict(self) -> dict[str, Any]:
        return {"norms": self.norms, "seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.norms, self.seen = state["norms"].clone(), state["seen"]
