"""Order: how mixed the targets are within the batches of the first epoch, against the same targets in random order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

MOST_BATCHES = 400


@dataclass(frozen=True, kw_only=True)
class Order:
    """Within-batch spread of the targets (entropy of classes, variance of numbers) over that of the same targets in random order."""

    mixed: float
    classes: bool
    shuffled: bool  # whether the order changes each epoch
    batches: int
    batch_size: int
    monotone: float  # absolute rank correlation of target and place


def measure(window: Window) -> Order:
    import torch

    setup = window.setup
    targets = []
    for k in range(min(setup.batches().per_epoch, MOST_BATCHES)):
        target = setup.batch(k)[1]
        if target.ndim and target.reshape(len(target), -1).shape[1] == 1:
            targets.append(target.reshape(-1).double())
    if len(targets) < 4:
        raise Unavailable("fewer than four batches with one target an example")
    whole = torch.cat(targets)
    kinds = whole.unique()
    classes = len(kinds) <= max(2, len(whole) // 20) and bool((whole == whole.round()).all())
    if len(kinds) < 2:
        raise Unavailable("the target does not vary")
    sizes = [len(part) for part in targets]
    shuffled = whole[torch.randperm(len(whole), generator=torch.Generator().manual_seed(0))].split(sizes)
    measured = sum(_spread(part, classes) for part in targets) / len(targets)
    usual = sum(_spread(part, classes) for part in shuffled) / len(targets)
    ranks = whole.argsort().argsort().double()
    places = torch.arange(len(whole)).double()
    monotone = float(torch.corrcoef(torch.stack([ranks, places]))[0, 1].abs())
    return Order(
        mixed=measured / max(usual, 1e-12),
        classes=classes,
        shuffled=bool(setup.order.get("shuffle", True)) or setup.order.get("sampler") is not None,
        batches=len(targets),
        batch_size=setup.batch_size,
        monotone=monotone,
    )


def _spread(values: Tensor, classes: bool) -> float:
    if not classes:
        return float(values.var()) if len(values) > 1 else 0.0
    shares = values.unique(return_counts=True)[1].double() / len(values)
    return float(-(shares * shares.log()).sum())


ENTRY = Signal(name="order", title="Order of the examples", cost="free", measure=measure)
