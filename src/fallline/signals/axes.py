"""Axes: which outputs the loss reads for the target at one position, and whether the input at that position is what moves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window, behaviour, outputs

if TYPE_CHECKING:
    from torch import Tensor

CASES = 8
TRIED = 6  # positions


@dataclass(frozen=True, kw_only=True)
class Axes:
    """For targets with several positions a case."""

    scattered: float  # share of the positions whose target is compared with outputs that do not form one line along one axis
    axis: int | None  # along which the classes of a position lie, as the loss reads them
    swapped: float  # how far outputs move at the position of a changed input, over where the loss reads that position; 0: not asked


def measure(window: Window) -> Axes:
    import torch

    setup, first = window.setup, window.read(outputs.ENTRY)
    target, output = first.target[:CASES], first.output[:CASES]
    if target.is_floating_point() or target.ndim < 2 or target[0].numel() < 2 or output.ndim < 2:
        raise Unavailable("each case has one target")
    made = setup.make()
    passed_over = {
        float(setup.problem.ignore_index if setup.problem.ignore_index is not None else -100),
        *window.read(behaviour.ENTRY).skips,
    }
    classes = [int(kind) for kind in target.unique() if kind >= 0 and float(kind) not in passed_over]
    if len(classes) < 2:
        raise Unavailable("the target does not vary")
    generator = torch.Generator().manual_seed(setup.seed)
    noise = torch.randn(output.shape, generator=generator)

    def gradient(changed: Tensor) -> Tensor:
        leaf = (output + noise).requires_grad_()
        try:
            (found,) = torch.autograd.grad(made.loss(leaf, changed).mean(), leaf)
        except Exception as error:  # whatever the user's loss raises
            raise Unavailable(str(setup.told("the loss", error))) from error
        return found

    lines = list(_lines(target, classes, gradient, generator))
    if not lines:
        raise Unavailable("the loss reads no position")
    straight = [axis for axis in lines if axis is not None]
    axis = max(set(straight), key=straight.count) if straight else None
    scattered = 1 - len(straight) / len(lines)
    swapped = 0.0
    if axis in (1, 2) and output.ndim == 3 and output.shape[1] == output.shape[2] == target.shape[1]:
        swapped = _swapped(window, first.inputs, axis, target.shape[1])
    return Axes(scattered=scattered, axis=axis, swapped=swapped)


def _lines(target: Tensor, classes: list[int], gradient: Any, generator: Any) -> Iterator[int | None]:
    """For each position that is tried: the axis along which lie the outputs that its target is compared with; None if scattered."""
    import torch

    flat = target.reshape(-1)
    for place in torch.randperm(flat.numel(), generator=generator)[:TRIED].tolist():
        read: Tensor | None = None
        for kind in classes[:40]:
            one, other = flat.clone(), flat.clone()
            one[place], other[place] = kind, next(value for value in classes if value != kind)
            moved = (gradient(one.reshape(target.shape)) - gradient(other.reshape(target.shape))).abs() > 1e-9
            read = moved if read is None else read | moved
        if read is None or not bool(read.any()):
            continue  # a position that the loss passes over
        varying = [axis for axis in range(read.ndim) if len(read.nonzero()[:, axis].unique()) > 1]
        whole = len(varying) == 1 and int(read.sum()) <= read.shape[varying[0]]
        full = whole and (int(read.sum()) == read.shape[varying[0]] or int(read.sum()) >= min(len(classes), 40))
        case = place // max(target[0].numel(), 1)
        own_case = bool((read.nonzero()[:, 0] == case).all()) or read.shape[0] != target.shape[0]
        yield varying[0] if full and own_case and _holds(read, varying[0], classes) else None


def _holds(read: Tensor, axis: int, classes: list[int]) -> bool:
    """Whether the outputs that are read stand at the places of the classes along the axis."""
    places = read.nonzero()[:, axis].tolist()
    return set(places) <= {*classes} or len(places) == read.shape[axis]


def _swapped(window: Window, inputs: Any, axis: int, positions: int) -> float:
    from fallline._batches import tree_map

    setup = window.setup
    model = setup.make().model
    still = setup.judged(model, tree_map(lambda leaf: leaf[:CASES], inputs)).float()
    ratios = []
    for place in range(min(positions, TRIED)):

        def moved(leaf: Any, place: int = place) -> Any:
            if leaf.ndim < 2 or leaf.shape[1] != positions:
                return leaf[:CASES]
            changed = leaf[:CASES].clone()
            changed[:, place] = leaf[CASES : 2 * CASES, place]
            return changed

        change = (setup.judged(model, tree_map(moved, inputs)).float() - still).abs()
        if not float(change.max()) > 0:
            continue
        others = [index for index in range(positions) if index != place]
        as_read = change[:, others, place] if axis == 1 else change[:, place, others]
        the_other_way = change[:, place, others] if axis == 1 else change[:, others, place]
        ratios.append(float(the_other_way.mean()) / max(float(as_read.mean()), 1e-6 * float(change.max())))
    return sorted(ratios)[len(ratios) // 2] if ratios else 0.0


ENTRY = Signal(name="axes", title="Which outputs belong to which position", cost="passes", measure=measure)
