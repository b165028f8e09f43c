"""Calls: the functions of one forward pass in their order: which activation feeds which layer, over which dimension."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Window

if TYPE_CHECKING:
    from torch import Tensor

SQUASHING = ("softmax", "sigmoid", "tanh", "hardsigmoid", "hardtanh", "log_softmax", "logsigmoid")
RECTIFYING = ("relu", "relu_", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "prelu", "threshold", "celu")
WEIGHTED = ("linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "bilinear")
VIEWS = ("flatten", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "contiguous", "float", "to", "double", "movedim")
AVERAGES = ("avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
MAXIMA = ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d")  # choose among values, and leave them
STRAIGHT: tuple[str, ...] = ("dropout", "dropout1d", "dropout2d", "alpha_dropout", "batch_norm", *VIEWS, *AVERAGES)  # bend nothing
PASSING = (*STRAIGHT, *MAXIMA)  # what comes out still has the range of the last activation, or nearly
ALIASES = {"relu_": "relu", "softmax_": "softmax", "sigmoid_": "sigmoid", "tanh_": "tanh"}


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call. `source` is the last function of note that its input went through: "" where that is something else, or the data."""

    name: str
    place: str  # path of the module in whose forward it is
    source: str
    source_place: str = ""
    dim: int | None = None  # counted from the front
    size: int = 0  # of that dimension
    ndim: int = 0
    training: bool = False  # of a dropout


@dataclass(frozen=True, kw_only=True)
class Calls:
    """All calls of note, and what the output went through last."""

    calls: tuple[Call, ...]
    last: str  # name of the last function of note on the way to the output, views passed over
    last_place: str

    def named(self, *names: str) -> list[Call]:
        return [call for call in self.calls if call.name in names]


@dataclass
class _Recorder:
    """What the function mode has seen; tensors are kept, so that an id is not given twice."""

    calls: list[Call] = field(default_factory=list)
    tags: dict[int, tuple[str, str]] = field(default_factory=dict)  # id of a tensor -> function that made it, and its place
    kept: list[Any] = field(default_factory=list)
    path: list[str] = field(default_factory=lambda: [""])

    def note(self, function: Callable[..., Any], arguments: Any, keywords: dict[str, Any], result: Any) -> None:
        import torch

        name = ALIASES.get(function.__name__, function.__name__)
        given = arguments[0] if arguments else keywords.get("input")
        if not isinstance(given, torch.Tensor) or not isinstance(result, torch.Tensor):
            return
        source, place = self.tags.get(id(given), ("", ""))
        if name in PASSING:
            if "dropout" in name:
                training = bool(keywords.get("training", arguments[2] if len(arguments) > 2 else True))
                self.calls.append(Call(name="dropout", place=self.path[-1], source=source, training=training))
            self._tag(result, source, place)
        elif name in SQUASHING + RECTIFYING + WEIGHTED:
            dim = keywords.get("dim", arguments[1] if len(arguments) > 1 and "softmax" in name else None)
            dim = (
                dim % max(given.ndim, 1)
                if isinstance(dim, int) and not isinstance(dim, bool)
                else _implicit(given)
                if "softmax" in name
                else None
            )
            size = given.shape[dim] if dim is not None and given.ndim else 0
            self.calls.append(Call(name=name, place=self.path[-1], source=source, source_place=place, dim=dim, size=size, ndim=given.ndim))
            self._tag(result, name, self.path[-1])

    def _tag(self, tensor: Tensor, name: str, place: str) -> None:
        self.tags[id(tensor)] = (name, place)
        self.kept.append(tensor)


def _implicit(given: Tensor) -> int:
    """The dimension that torch takes where none is said."""
    return 0 if given.ndim in (0, 1, 3) else 1


def measure(window: Window) -> Calls:
    from torch.overrides import TorchFunctionMode

    setup = window.setup
    model = setup.make().model
    inputs, _ = setup.sample(rows=setup.affordable(32))
    seen = _Recorder()

    class Mode(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = function(*args, **(kwargs or {}))
            seen.note(function, args, kwargs or {}, result)
            return result

    handles = []
    for path, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, path=path: seen.path.append(path)))
        handles.append(module.register_forward_hook(lambda *_: (seen.path.pop(), None)[1]))
    with Mode():
        output = setup.judged(model, inputs)
    for handle in handles:
        handle.remove()
    last, place = seen.tags.get(id(output), ("", ""))
    return Calls(calls=tuple(seen.calls), last=last, last_place=place)


ENTRY = Signal(name="calls", title="Functions of one forward pass", cost="passes", measure=measure)
