"""Head: which values the output can reach, whatever the weights of the last layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fallline.signals import Signal, Unavailable, Window

SCALES = (1e2, 1e4)  # of the last layer's weights: an output that does not grow from one to the other is bounded
ROWS = 64
TRIED = 4  # of the last layers: what a gate or one of several heads gives is not the whole output
DRAWS = 4  # of the last layer's weights


@dataclass(frozen=True, kw_only=True)
class Head:
    """The reachable range, over all outputs together."""

    low: float
    high: float
    place: str  # of the last layer that has weights

    @property
    def constant(self) -> bool:
        return self.low == self.high

    def is_within(self, low: float, high: float) -> bool:
        return self.low >= low - 1e-6 and self.high <= high + 1e-6


def measure(window: Window) -> Head:
    setup = window.setup
    model = setup.make().model
    inputs, _ = setup.sample(rows=2)
    last: list[tuple[str, Any]] = []
    handles = [
        module.register_forward_pre_hook(lambda *_, found=(path, module): last.append(found))  # a parent ends after its parts
        for path, module in model.named_modules()
        if any(parameter.is_floating_point() for parameter in module.parameters(recurse=False))
    ]
    setup.judged(model, inputs)
    for handle in handles:
        handle.remove()
    if not last:
        raise Unavailable("no layer with weights is called")
    reached = [_reach(window, path) for path in list(dict.fromkeys(path for path, _ in last))[-TRIED:]]
    if any(math.isnan(value) for pair in reached for value in pair):
        raise Unavailable("the output is not finite where the last layers' weights are large")
    return Head(low=min(low for low, _ in reached), high=max(high for _, high in reached), place=last[-1][0])


def _reach(window: Window, path: str) -> tuple[float, float]:
    """Least and largest output over random weights of one layer, minus or plus inf where it grows with them."""
    import torch

    setup = window.setup
    model = setup.make().model
    module = model.get_submodule(path)
    inputs, _ = setup.sample(rows=setup.affordable(ROWS, passes=TRIED * len(SCALES) * DRAWS, least=4))
    lows, highs = {}, {}
    for scale in SCALES:
        seen = []
        for draw in range(DRAWS):
            generator = torch.Generator().manual_seed(setup.seed + draw // 2)
            with torch.no_grad():
                for parameter in module.parameters(recurse=False):
                    if parameter.is_floating_point():  # the second of a pair has the opposite sign, and reaches the other end
                        drawn = torch.randn(parameter.shape, generator=generator).to(parameter)
                        parameter.copy_(drawn * scale * (1 if draw % 2 else -1))
            seen.append(setup.judged(model, inputs).double())
        values = torch.cat([output.reshape(-1) for output in seen])
        values = values[torch.isfinite(values)]
        if not values.numel():
            return math.nan, math.nan
        lows[scale], highs[scale] = float(values.min()), float(values.max())
    small, large = SCALES
    room = 1e-3 + 0.05 * max(abs(lows[small]), abs(highs[small]))  # 5 %: a bounded output has come close to its bound at the first scale
    low = lows[large] if lows[small] - lows[large] <= room else -math.inf
    high = highs[large] if highs[large] - highs[small] <= room else math.inf
    return low, high


ENTRY = Signal(name="head", title="Reachable range of the output", cost="passes", measure=measure)
