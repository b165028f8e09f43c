"""Functions that a model's forward calls, exchanged from outside: a softmax for a ReLU, say, whether it is a module or called by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from fallline.signals.calls import ALIASES

Stand: TypeAlias = Callable[[nn.Module, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]  # model, function, its arguments


def exchange(model: nn.Module, stands: Mapping[tuple[str, str], Stand]) -> None:
    """From now on the model's calls of a function, by (its name, the path of the module that calls it), go to what stands in for it."""
    path: list[str] = []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(lambda *_, name=name: path.append(name))
        module.register_forward_hook(lambda *_: (path.pop() if path else None, None)[1])
    own = type(model)

    def forward(self: nn.Module, *inputs: Any, **keywords: Any) -> Any:
        path[:] = [""]  # what an error left of the last pass is gone
        with _Exchanging(self, path, stands):
            return own.forward(self, *inputs, **keywords)

    # a class of its own, as torch.nn.utils.parametrize makes one: copies keep it, and the module stays an instance of the user's class
    model.__class__ = type(own.__name__, (own,), {"forward": forward, "__module__": own.__module__})


def rejoin(model: nn.Module) -> None:
    """From now on the model's forward keeps its graph: `detach` and `data` give the tensor itself, and `no_grad` inside does nothing."""
    own = type(model)

    def forward(self: nn.Module, *inputs: Any, **keywords: Any) -> Any:
        if not torch.is_grad_enabled():
            return own.forward(self, *inputs, **keywords)
        with _Rejoining():
            return own.forward(self, *inputs, **keywords)

    model.__class__ = type(own.__name__, (own,), {"forward": forward, "__module__": own.__module__})


class _Rejoining(TorchFunctionMode):
    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in CUTTING:
            return args[0]
        with torch.enable_grad():
            return function(*args, **(kwargs or {}))


CUTTING = (torch.Tensor.detach, torch.detach, torch.Tensor.data.__get__)  # type: ignore[attr-defined]  # a property of the C base class


class _Exchanging(TorchFunctionMode):
    def __init__(self, model: nn.Module, path: list[str], stands: Mapping[tuple[str, str], Stand]) -> None:
        super().__init__()
        self.model, self.path, self.stands = model, path, stands

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        stand = self.stands.get((ALIASES.get(name, name), self.path[-1] if self.path else ""))
        if stand is None:
            return function(*args, **(kwargs or {}))
        return stand(self.model, function, args, kwargs or {})
