"""A clip that remembers the norms it has seen; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch


class PercentileClip:
    """Shortens gradients to a percentile of the global norms of the last `window` steps, this one among them.

    Norms are kept in Python, oldest first and once more in order, which on a CPU takes a quarter of what a tensor and torch.nanquantile
    take, since that sorts the window anew each step (benchmarks/price/parts.py). Away from the CPU the norm is waited for once a step;
    that was not timed, and takes the place of some twenty small kernels.
    """

    def __init__(self, percentile: float, window: int) -> None:
        self.share, self.window = percentile / 100.0, window
        self.norms: deque[float] = deque()  # nan for what overflowed: it fills its step, and is no norm to compare with
        self.ranked: list[float] = []

    @torch.no_grad()
    def __call__(self, parameters: Sequence[torch.Tensor]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients))
        self._remember(norm)
        bound = self._bound()
        if gradients and not norm <= bound:  # a norm that is nan spoils all gradients, as torch's own clip lets it
            torch._foreach_mul_(gradients, bound / norm)

    def _remember(self, norm: float) -> None:
        if len(self.norms) == self.window:
            oldest = self.norms.popleft()
            if math.isfinite(oldest):
                del self.ranked[bisect_left(self.ranked, oldest)]
        self.norms.append(norm if math.isfinite(norm) else math.nan)
        if math.isfinite(norm):
            insort(self.ranked, norm)

    def _bound(self) -> float:
        """The percentile, interpolated between neighbours as numpy.percentile does it; nan where no norm was finite yet."""
        if not self.ranked:
            return math.nan
        place = self.share * (len(self.ranked) - 1)
        below = int(place)
        above = min(below + 1, len(self.ranked) - 1)
        return self.ranked[below] + (place - below) * (self.ranked[above] - self.ranked[below])

    def state_dict(self) -> dict[str, Any]:
        return {"norms": torch.tensor(list(self.norms), dtype=torch.float64)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.norms.clear()
        self.ranked.clear()
        for norm in state["norms"].tolist():
            self._remember(norm)
