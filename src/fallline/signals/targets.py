"""Targets: what kind of values they are, and how often each occurs, on train and on valid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals._setup import Setup

MOST_ROWS = 50_000
MOST_VALUES = 2_000_000  # a twentieth of a second; of masks some hundred rows


@dataclass(frozen=True, kw_only=True)
class Values:
    """Of one split."""

    shape: tuple[int, ...]  # of one example
    floating: bool
    low: float
    high: float
    mean: float
    std: float
    whole: bool  # all are whole numbers
    counts: dict[float, int]  # of each value, where there are at most `MANY`; else empty
    one_hot: bool  # rows of noughts with one 1
    multi_hot: bool  # rows of noughts and ones, not all with one 1
    rows_sum_to_one: bool
    trailing: dict[float, float]  # integers in sequences: value -> share of all positions that lie in runs of it at the end of a row


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Of both splits."""

    train: Values
    valid: Values | None


MANY = 1000


def measure(window: Window) -> Targets:
    setup = window.setup
    train = _values(setup, "train")
    if train is None:
        raise Unavailable("targets have different shapes")
    return Targets(train=train, valid=_values(setup, "valid") if setup.valid is not None else None)


def _values(setup: Setup, split: str) -> Values | None:
    import torch

    parts = [target.detach() for _, target in setup.whole(split, MOST_ROWS)]
    if len({part.shape[1:] for part in parts}) > 1:
        parts = [part.reshape(-1) for part in parts]
    target = torch.cat(parts)
    if target.ndim > 1:
        most = max(MOST_VALUES // max(target[0].numel(), 1), 100)
        target = target[:: max(len(target) // most, 1)][:most]  # from everywhere: rows may be sorted
    if target.is_complex() or not target.numel():
        return None
    floating, values = target.is_floating_point(), target.double()
    finite = values[values.isfinite()]
    if not finite.numel():
        return None
    kinds, counts = finite[: MOST_ROWS * 4].unique(return_counts=True)
    rows = values.reshape(len(values), -1)
    binary = rows.shape[1] > 1 and bool(((rows == 0) | (rows == 1)).all())
    sums = rows.sum(dim=1)
    return Values(
        shape=tuple(target.shape[1:]),
        floating=floating,
        low=float(finite.min()),
        high=float(finite.max()),
        mean=float(finite.mean()),
        std=float(finite.std()) if finite.numel() > 1 else 0.0,
        whole=bool((finite == finite.round()).all()),
        counts=dict(zip(kinds.tolist(), counts.tolist(), strict=True)) if len(kinds) <= MANY else {},
        one_hot=binary and bool((sums == 1).all()),
        multi_hot=binary and not bool((sums == 1).all()),
        rows_sum_to_one=rows.shape[1] > 1 and bool((rows >= 0).all()) and bool(((sums - 1).abs() < 1e-4).all()),
        trailing=_trailing(target) if not floating and target.ndim == 2 and target.shape[1] > 1 else {},
    )


def _trailing(target: Tensor) -> dict[float, float]:
    """For values that, wherever they occur, occur at the end of their row: the share of positions that they take."""
    found = {}
    for kind in target.unique()[:MANY]:
        here = target == kind
        at_end = here.flip(1).cumprod(dim=1).flip(1).bool()
        if int(here.sum()) and int(at_end.sum()) >= 0.95 * int(here.sum()):
            found[float(kind)] = float(at_end.double().mean())
    return found


ENTRY = Signal(name="targets", title="Values of the target", cost="free", measure=measure)
