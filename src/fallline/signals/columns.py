"""Columns: means, spreads and gaps of the inputs and of the target, on train and on valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals._setup import Setup

MOST_ROWS = 20_000  # read a split: a share of 0.1 % is seen
MOST_VALUES = 10_000_000  # 80 megabytes as float64
SORTED = 2000  # values of a column that are told apart
MOST_SORTED = 1_600_000  # values in all: a fifth of a second; of masks with an answer at every pixel a hundred rows tell the quartiles


@dataclass(frozen=True, kw_only=True)
class Table:
    """Of one split. A column is a feature of a row, or a channel of an image."""

    rows: int
    mean: Tensor
    std: Tensor
    low: float
    high: float
    gaps: int  # rows with NaN or inf among the inputs
    target_gaps: int
    target_mean: Tensor  # (outputs,) of a floating-point target, empty otherwise
    target_std: Tensor
    middle: Tensor  # median, and half of the distance between the quartiles, which single far values do not move
    width: Tensor
    target_middle: Tensor
    target_width: Tensor
    whole_mean: float
    whole_std: float
    continuous: Tensor  # for each column, whether it has more than two values


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Of both splits; valid is None where there is none."""

    train: Table
    valid: Table | None


def measure(window: Window) -> Columns:
    setup = window.setup
    train = _table(setup, "train")
    valid = _table(setup, "valid") if setup.valid is not None else None
    return Columns(train=train, valid=valid)


def _table(setup: Setup, split: str) -> Table:
    import torch

    parts: list[Tensor] = []
    targets: list[Tensor] = []
    rows = gaps = 0
    for inputs, target in setup.whole(split, MOST_ROWS):
        floats = setup.floats(inputs)
        rows += len(target) if target.ndim else 1
        if floats:
            gaps += int(torch.stack([~leaf.isfinite().reshape(len(leaf), -1).all(dim=1) for leaf in floats]).any(dim=0).sum())
            parts.append(_side_by_side([_values(leaf) for leaf in floats]))
        if target.is_floating_point() and target.ndim:
            targets.append(target.detach().reshape(len(target), -1))
        if sum(part.numel() for part in parts) > MOST_VALUES:
            break
    if not parts and not targets:
        raise Unavailable("neither inputs nor target are floating-point numbers")
    values, target_values = _joined(parts), _joined(targets)
    clean, target_clean = _finite(values), _finite(target_values)
    few = _ordered(clean)
    (middle, width), (target_middle, target_width) = _quartiles(few), _quartiles(_ordered(target_clean))
    return Table(
        rows=rows,
        mean=clean.mean(dim=0),
        std=clean.std(dim=0) if len(clean) > 1 else torch.zeros(clean.shape[1]),
        low=float(clean.min()) if clean.numel() else 0.0,
        high=float(clean.max()) if clean.numel() else 0.0,
        gaps=gaps,
        target_gaps=int((~target_values.isfinite()).any(dim=1).sum()),
        target_mean=target_clean.mean(dim=0),
        target_std=target_clean.std(dim=0) if len(target_clean) > 1 else torch.zeros(target_clean.shape[1]),
        middle=middle,
        width=width,
        target_middle=target_middle,
        target_width=target_width,
        whole_mean=float(clean.mean()) if clean.numel() else 0.0,
        whole_std=float(clean.std()) if clean.numel() > 1 else 0.0,
        continuous=(few.diff(dim=1) > 0).sum(dim=1) > 1,
    )


def _ordered(values: Tensor) -> Tensor:
    """Values of each column in their order, a row each: the first, or of wide rows some from everywhere, since these may be sorted."""
    most = min(SORTED, max(MOST_SORTED // max(values.shape[1], 1), 100))
    return (values[:most] if most == SORTED else values[:: max(len(values) // most, 1)][:most]).mT.sort(dim=1).values


def _quartiles(ordered: Tensor) -> tuple[Tensor, Tensor]:
    """Median, and half of the distance between the quartiles, of each row of sorted values."""
    count = ordered.shape[1]
    if not count:
        return ordered.sum(dim=1), ordered.sum(dim=1)
    return ordered[:, count // 2], (ordered[:, 3 * count // 4] - ordered[:, count // 4]) / 2


def _values(leaf: Tensor) -> Tensor:
    """Values by columns: features of a table, channels of images; a series or anything else is one column."""
    if leaf.ndim == 2:
        return leaf
    return leaf.movedim(1, -1).reshape(-1, leaf.shape[1]) if leaf.ndim == 4 else leaf.reshape(-1, 1)


def _side_by_side(parts: list[Tensor]) -> Tensor:
    import torch

    same = len({len(part) for part in parts}) == 1
    return torch.cat(parts, dim=1) if same else torch.cat([part.reshape(-1, 1) for part in parts])


def _joined(parts: list[Tensor]) -> Tensor:
    """Parts below each other; where they were padded to different widths, columns mean nothing and all is one."""
    import torch

    if not parts:
        return torch.empty(0, 0, dtype=torch.float64)
    if len({part.shape[1] for part in parts}) > 1:
        parts = [part.reshape(-1, 1) for part in parts]
    return torch.cat(parts).double()


def _finite(values: Tensor) -> Tensor:
    finite = values.isfinite()
    return values if bool(finite.all()) else values[finite.all(dim=1)]


ENTRY = Signal(name="columns", title="Means and spreads of inputs and target", cost="free", measure=measure)
