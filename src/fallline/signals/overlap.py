"""Overlap: how many valid examples stand in train too, exactly or nearly, against how often train repeats itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals._setup import Setup

MOST_TRAIN, MOST_VALID = 20_000, 1000
NEAR = 0.02  # of the usual distance to a nearest neighbour: what noise, rounding or a slight augmentation leave between copies
PROJECTED = 48  # dimensions in which distances are compared, where there are more


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Shares of the valid examples that were compared."""

    compared: int
    exact: float
    near: float
    within: float  # share of train examples that repeat an earlier one
    near_within: float  # share of train examples with so near a neighbour in train: in one column neighbours are near by themselves
    same_target: float  # of the exact ones, how many have the same target


def measure(window: Window) -> Overlap:
    import torch

    setup = window.setup
    if setup.valid is None:
        raise Unavailable("there is no valid split to compare with")
    train, train_target = _rows(setup, "train", MOST_TRAIN)
    valid, valid_target = _rows(setup, "valid", MOST_VALID)
    if train.shape[1:] != valid.shape[1:]:
        raise Unavailable("train and valid have inputs of different shapes")
    seen: dict[bytes, int] = {}
    repeats = 0
    for place, row in enumerate(train.numpy()):
        repeats += seen.setdefault(row.tobytes(), place) != place
    matches = [seen.get(row.tobytes()) for row in valid.numpy()]
    exact = [place for place in matches if place is not None]
    same = 0
    if train_target.shape[1:] == valid_target.shape[1:]:
        same = sum(bool(torch.equal(train_target[place], valid_target[row])) for row, place in enumerate(matches) if place is not None)
    near, near_within = _near(train, valid)
    return Overlap(
        compared=len(valid),
        exact=len(exact) / len(valid),
        near=near,
        near_within=near_within,
        within=repeats / len(train),
        same_target=same / max(len(exact), 1),
    )


def _rows(setup: Setup, split: str, most: int) -> tuple[Tensor, Tensor]:
    import torch

    from fallline._batches import leaves

    rows, targets = [], []
    for inputs, target in setup.whole(split, most):
        rows.append(torch.cat([leaf.reshape(len(leaf), -1).float() for leaf in leaves(inputs)], dim=1))
        targets.append(target)
    if len({part.shape[1] for part in rows}) > 1 or len({part.shape[1:] for part in targets}) > 1:
        raise Unavailable("examples have different lengths")
    return torch.cat(rows)[:most].contiguous(), torch.cat(targets)[:most]


def _near(train: Tensor, valid: Tensor) -> tuple[float, float]:
    """Shares of valid and of train examples whose nearest neighbour in train is far nearer than is usual between train examples."""
    import torch

    scale = train.std(dim=0)
    kept = scale > 1e-6 * float(scale.max()) if len(scale) else scale.bool()
    if not bool(kept.any()) or not bool(torch.isfinite(train).all() and torch.isfinite(valid).all()):
        return 0.0, 0.0
    mean, wide = train.mean(dim=0), int(kept.sum()) > PROJECTED
    if wide:  # standardised and projected in one product: a copy of all pixels would take longer than everything else
        turn = torch.randn(train.shape[1], PROJECTED, generator=torch.Generator().manual_seed(0)) / PROJECTED**0.5
        turn = torch.where(kept.unsqueeze(1), turn / scale.unsqueeze(1), 0.0)
    a, b = (part @ turn - mean @ turn if wide else (part[:, kept] - mean[kept]) / scale[kept] for part in (train, valid))
    nearest = torch.cdist(b, a).min(dim=1).values
    own = torch.cdist(a[:MOST_VALID], a)
    own[torch.arange(len(own)), torch.arange(len(own))] = float("inf")
    among = own.min(dim=1).values
    usual = float(among.median())
    if usual == 0:
        return 0.0, 0.0
    return float((nearest < NEAR * usual).double().mean()), float((among < NEAR * usual).double().mean())


ENTRY = Signal(name="overlap", title="Examples that train and valid share", cost="free", measure=measure)
