"""Units: how many units of each activation are dead or saturated over some hundreds of examples, before and after the watched run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Window, trace

if TYPE_CHECKING:
    from torch import nn

    from fallline.signals._setup import Setup

ENDS = {"sigmoid": (0.02, 0.98), "tanh": (-0.96, 0.96), "softsign": (-0.9, 0.9)}  # beyond them the slope is below a tenth of the largest
RECTIFIED = ("relu", "relu6", "threshold")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One activation."""

    place: str
    name: str
    dead: float  # share of units that give 0 for every example
    saturated: float  # share of values near an end
    units: int


@dataclass(frozen=True, kw_only=True)
class Units:
    """Activations in the order of the pass."""

    before: tuple[Layer, ...]
    after: tuple[Layer, ...]


def layers_of(setup: Setup, model: nn.Module, rows: int = 512) -> tuple[Layer, ...]:
    """The activations in one pass in eval mode."""
    import torch
    from torch.overrides import TorchFunctionMode

    from fallline.signals.calls import ALIASES

    inputs, _ = setup.sample(rows=rows)
    path, found = [""], list[Layer]()

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            name = ALIASES.get(function.__name__, function.__name__)
            if isinstance(result, torch.Tensor) and (name in RECTIFIED or name in ENDS) and result.ndim > 1:
                found.append(_layer(path[-1], name, result.detach()))
            return result

    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: path.append(name)))
        handles.append(module.register_forward_hook(lambda *_: (path.pop(), None)[1]))
    try:
        with Mode():
            setup.judged(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found)


def _layer(place: str, name: str, values: Any) -> Layer:
    """A unit is a feature, or a channel of a feature map."""
    dims = tuple(dim for dim in range(values.ndim) if dim != 1) if values.ndim in (2, 4) else tuple(range(values.ndim - 1))
    dead = float(((values == 0).all(dim=dims)).double().mean()) if name in RECTIFIED else 0.0
    low, high = ENDS.get(name, (-float("inf"), float("inf")))
    saturated = float(((values < low) | (values > high)).double().mean())
    return Layer(place=place, name=name, dead=dead, saturated=saturated, units=values.shape[1 if values.ndim in (2, 4) else -1])


def measure(window: Window) -> Units:
    setup, seen = window.setup, window.read(trace.ENTRY)
    return Units(before=layers_of(setup, setup.make().model), after=layers_of(setup, seen.made.model))


ENTRY = Signal(name="units", title="Dead and saturated units", cost="steps", measure=measure)
