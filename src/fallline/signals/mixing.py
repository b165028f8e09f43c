"""Mixing: whether the output of a case changes when the other cases of its batch are exchanged, in eval mode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fallline.signals import Signal, Unavailable, Window, outputs

CASES = 16  # eight that stay and eight that are exchanged
NOISE = 1e-3  # share of the outputs' spread: batched kernels differ in the last digits


@dataclass(frozen=True, kw_only=True)
class Mixing:
    """How far the outputs of unchanged cases move, as shares of the outputs' spread."""

    others: float  # when the other cases are exchanged
    over_batch: bool  # outputs, or their exponentials, sum to 1 over the cases of a batch

    @property
    def mixed(self) -> bool:
        return self.others > NOISE


def measure(window: Window) -> Mixing:
    import torch

    from fallline._batches import tree_map

    setup, first = window.setup, window.read(outputs.ENTRY)
    if first.difference > NOISE:
        raise Unavailable("two passes in eval mode differ, so that nothing can be said of the influence of other cases")
    rows = len(first.target)
    if rows < 2 * CASES or len(first.output) != rows:
        raise Unavailable("the first dimension of the output is not that of the batch")
    model, kept, side = setup.make().model, CASES // 2, CASES // 4
    stay = torch.arange(kept)

    def batch(others: int) -> Any:
        """The same cases between others: a recurrent layer that takes cases for time steps reads only those before."""
        chosen = torch.cat([torch.arange(others, others + side), stay, torch.arange(others + side, others + 2 * side)])
        return tree_map(lambda leaf: leaf[chosen] if leaf.ndim and len(leaf) == rows else leaf, first.inputs)

    one, other = (setup.judged(model, batch(start)).float() for start in (kept, rows - kept))
    if one.shape != other.shape or len(one) != CASES:
        raise Unavailable("the output's shape depends on which cases are in the batch")
    spread = max(float(torch.cat([one, other]).std()), 1e-12)
    moved = float((one - other)[side : side + kept].abs().max()) / spread
    sums = one.double().sum(dim=0), one.double().exp().sum(dim=0)
    over_batch = any(bool(((total - 1).abs() < 1e-4).all()) for total in sums)
    return Mixing(others=moved, over_batch=over_batch)


ENTRY = Signal(name="mixing", title="Influence of the other cases of a batch", cost="passes", measure=measure)
