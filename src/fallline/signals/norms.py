"""Norms: the loss after the watched run with batch norm's running statistics and with those of batches, on the same training examples."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window, trace

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 3  # updates before statistics are judged
ARRIVED = 5  # times 1 / momentum, after which running averages are within 1 %
JUDGED = 512  # examples
LARGE = 256  # examples whose statistics are as good as those of all


@dataclass(frozen=True, kw_only=True)
class Norms:
    """The same weights, judged twice."""

    with_running: float
    with_batch: float
    with_large: float  # with the statistics of a batch of 256
    at_start: float
    updates: int
    batch_size: int
    momentum: float  # the smallest
    place: str

    @property
    def finite(self) -> bool:
        return math.isfinite(self.with_running) and math.isfinite(self.with_batch)


def measure(window: Window) -> Norms:
    import torch
    from torch import nn

    setup, seen = window.setup, window.read(trace.ENTRY)
    if seen.run.updates < FEWEST:
        raise Unavailable(f"{seen.run.updates} updates are too few to judge running statistics")
    model = copy.deepcopy(seen.made.model).eval()
    kind = nn.modules.batchnorm._BatchNorm
    norms = {path: part for path, part in model.named_modules() if isinstance(part, kind) and part.track_running_stats}
    if not norms:
        raise Unavailable("there is no batch norm")
    slowest = min((part.momentum if part.momentum is not None else 1.0) for part in norms.values())
    if not seen.whole and setup.length > 2 * seen.run.updates and seen.run.updates * slowest < ARRIVED:
        raise Unavailable("the watched run ended long before the training does; give a longer run_for")
    small = [setup.batch(k) for k in range(max(min(JUDGED // setup.batch_size, setup.batches().per_epoch), 1))]

    def judged(batches: Sequence[tuple[Any, Tensor]]) -> float:
        values = []
        for inputs, target in batches:
            output = setup.forward(model, inputs)
            values.append(float(torch.as_tensor(seen.made.loss(output, target)).float().mean()))
        return sum(values) / len(values)

    with torch.no_grad():
        with_running = judged(small)
        for part in norms.values():
            part.train()
        with_batch, with_large = judged(small), judged([setup.sample(rows=LARGE)])
    place = next(iter(norms))
    return Norms(
        with_running=with_running, with_batch=with_batch, with_large=with_large, at_start=abs(seen.start), updates=seen.run.updates,
        batch_size=setup.batch_size,
        momentum=slowest, place=place,
    )  # fmt: skip


ENTRY = Signal(name="norms", title="Batch norm's two kinds of statistics", cost="steps", measure=measure)
