"""Entry: mean and spread of what the first layer with weights gets, after all that the model does to the inputs before it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from fallline.signals import Signal, Unavailable, Window

UNMOVED = 1e-3  # of the spread: above float32's rounding of a level taken out, far below a shift of one


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Of the first layer with a matrix."""

    place: str
    mean: float
    std: float
    apart: float  # largest over smallest spread of its columns
    changed: bool  # the model has made something else of the inputs
    learned: bool  # ... with weights, or a norm's statistics
    relative: bool  # ... and takes a level out of each case: inputs that are all larger by one give it the same


def measure(window: Window) -> Entry:
    import torch

    from fallline._batches import tree_map
    from fallline._kinds import NORMS
    from fallline._problem import call

    setup = window.setup
    made = setup.make()
    inputs, _ = setup.sample(rows=setup.affordable(256))
    seen: list[tuple[str, Any]] = []
    norms: list[str] = []
    matrices = [(path, module) for path, module in made.model.named_modules() if any(p.ndim > 1 for p in module.parameters(recurse=False))]
    handles = [
        module.register_forward_pre_hook(lambda _, given, path=path: seen.append((path, given[0] if given else None)))
        for path, module in matrices
    ]
    handles += [
        module.register_forward_pre_hook(lambda _, __, path=path: norms.append(path) if not seen else None)
        for path, module in made.model.named_modules()
        if isinstance(module, NORMS)
    ]
    made.model.train()
    try:
        setup.forward(made.model, inputs)
        once = len(seen)
        with contextlib.suppress(Exception):  # inputs that the user never gave may be refused; then nothing is known of them
            call(made.model, tree_map(lambda leaf: leaf + 1 if leaf.is_floating_point() else leaf, inputs))
    finally:
        for handle in handles:
            handle.remove()
    if not seen or not isinstance(seen[0][1], torch.Tensor) or not seen[0][1].is_floating_point():
        raise Unavailable("the first layer does not get floating-point numbers")
    place, value, weighted = seen[0][0], seen[0][1].detach().double(), seen[0][1].requires_grad
    floats = setup.floats(inputs)
    same = any(leaf.shape == value.shape and bool(torch.equal(leaf.double(), value)) for leaf in floats)
    dims = tuple(dim for dim in range(value.ndim) if dim != (1 if value.ndim in (2, 4) else value.ndim - 1))
    spreads = value.std(dim=dims) if len(value) > 1 else value.new_ones(1)
    spreads = spreads[spreads > 1e-12]
    apart = float(spreads.max() / spreads.min()) if spreads.numel() else 1.0
    std = float(value.std()) if value.numel() > 1 else 0.0
    later = seen[once][1] if once < len(seen) else None
    moved = float((later.detach().double() - value).abs().max()) if isinstance(later, torch.Tensor) and later.shape == value.shape else 1.0
    return Entry(
        place=place, mean=float(value.mean()), std=std, apart=apart, changed=not same, learned=bool(norms) or weighted,
        relative=moved < UNMOVED * max(std, 1e-12),
    )  # fmt: skip


ENTRY = Signal(name="entry", title="What the first layer gets", cost="passes", measure=measure)
