"""Adapt: what the end of a model is, found by running it, and the change that a `Head` says, made and proven on a copy first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fallline._batches import HEAD, leaves, seeded, stream
from fallline._errors import UsageError
from fallline._head import Head
from fallline._problem import call

PASSING = (nn.Identity, nn.Flatten, nn.Unflatten)  # layers that give the numbers they are given, perhaps in another shape
EXTRA = 2  # outputs that are added on trial: what a model does with more than one it does with any number


@dataclass(frozen=True)
class End:
    """The end of a model as far as it can be changed safely."""

    layer: str = ""  # path of the linear layer that gives the outputs, as they are or through the activation
    outputs: int = 0
    activation: str = ""  # path of the activation that gives the outputs as they are
    does: str = ""  # of _head.ACTIVATIONS
    fixed: str = ""  # why the number of outputs cannot be changed; "" where it can


class SharedLinear(nn.Module):
    """One weighted sum of the inputs, to which each output adds a number: (..., inputs) -> (..., outputs). Cao et al. (2020), CORAL."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, inputs))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))  # as nn.Linear draws
        self.bias = nn.Parameter(torch.arange(outputs, 0, -1) / outputs)  # falling, as the authors start: low ranks are passed more often

    def forward(self, inputs: Tensor) -> Tensor:
        return nn.functional.linear(inputs, self.weight) + self.bias


def change_head(model: nn.Module, layer: str, outputs: int, shared: bool, without: str) -> None:
    """Change the end of a model in place: another last layer, or no activation. What the old layer gave, a wider one gives at first too."""
    if layer:
        old = model.get_submodule(layer)
        assert isinstance(old, nn.Linear)
        new = SharedLinear(old.in_features, outputs) if shared else nn.Linear(old.in_features, outputs, bias=old.bias is not None)
        with torch.no_grad():
            for name, parameter in new.named_parameters():
                if not shared:  # the outputs that the model has stay as they are, trained or not; the others are drawn
                    getattr(new, name)[: old.out_features] = getattr(old, name)
                parameter.data = parameter.data.to(old.weight.device, old.weight.dtype)
        new.train(old.training)
        model.set_submodule(layer, new)
    if without:
        model.set_submodule(without, nn.Identity())


def adapt(model: nn.Module, head: Head | None, seed: int) -> nn.Module:
    """The model with its end as `head` says, changed in place; new weights are drawn from the seed.

    Raises:
        UsageError: the model has no such layer.
    """
    if head is None:
        return model
    known = dict(model.named_modules())
    for path in (head.layer, head.without):
        if path and path not in known:
            raise UsageError(f"the recipe changes the layer {path!r}, which this model does not have; it has {', '.join(list(known)[1:9])}")
    if head.layer and not isinstance(known[head.layer], nn.Linear):
        raise UsageError(f"the recipe changes the outputs of {head.layer!r}, which is no nn.Linear but {type(known[head.layer]).__name__}")
    with seeded(stream(seed, HEAD)):
        change_head(model, head.layer, head.outputs, head.shared, head.without)
    return model


def is_adapted(model: nn.Module, head: Head) -> bool:
    """Whether a model ends as `head` says."""
    known = dict(model.named_modules())
    layer = known.get(head.layer)
    outputs = len(layer.bias) if isinstance(layer, SharedLinear) else getattr(layer, "out_features", 0)
    wide = not head.layer or (outputs == head.outputs and isinstance(layer, SharedLinear) == head.shared)
    return wide and (not head.without or isinstance(known.get(head.without), nn.Identity))


def end_of(model: nn.Module, inputs: Any) -> End:
    """What the end of a model is, found by hooks on a forward pass, and tried out; the model is left as it was.

    A layer may be changed where its tensor is the model's output, or that seen through a reshape, it is called once, and the model hands
    on whatever number of outputs it is given.
    """
    if not list(model.children()):
        return End(fixed="is a single layer; put it into nn.Sequential")
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        return _looked_at(model, inputs)
    finally:
        for module, mode in modes:
            module.training = mode


def _looked_at(model: nn.Module, inputs: Any) -> End:
    try:
        calls, output = _traced(model, inputs)
    except Exception as error:  # whatever the user's model raises when its layers are hooked
        return End(fixed=f"cannot be looked into ({type(error).__name__})")
    last = _giver(model, calls, output)
    if not last:
        return End(fixed="does not end in a layer, but in what its forward does itself")
    activation, does = "", _does(model.get_submodule(last), output)
    if does and len(calls[last]) == 1:
        activation = last
        last = _giver(model, calls, calls[activation][0].given)
    fixed = _why_fixed(model, last, calls) or _refuses_more(model, last, activation, inputs)
    layer = model.get_submodule(last) if last and not fixed else None
    outputs = layer.out_features if isinstance(layer, nn.Linear) else 0
    return End(last if outputs else "", outputs, activation, does if activation else "", fixed)


@dataclass(frozen=True)
class _Call:
    """One call of a layer: its first input, its output, and how often that had been written to by then."""

    given: Any
    output: Tensor
    version: int


def _traced(model: nn.Module, inputs: Any) -> tuple[dict[str, list[_Call]], Tensor]:
    """The calls of each layer, layers in the order of their last call; and the model's output."""
    calls: dict[str, list[_Call]] = {}
    hooks = []
    for path, module in model.named_modules():
        if path and not list(module.children()):

            def keep(_: nn.Module, given: tuple[Any, ...], output: Any, path: str = path) -> None:
                if isinstance(output, Tensor):
                    calls[path] = [*calls.pop(path, []), _Call(next(leaves(given), None), output, output._version)]

            hooks.append(module.register_forward_hook(keep))
    try:
        with torch.no_grad():
            output = call(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, output


def _giver(model: nn.Module, calls: dict[str, list[_Call]], tensor: Any) -> str:
    """The layer whose output a tensor is: the same numbers in memory, perhaps in another shape, not written to since; "" for none."""
    if not isinstance(tensor, Tensor):
        return ""
    for path, made in reversed(calls.items()):
        output, version = made[-1].output, made[-1].version
        same = output.data_ptr() == tensor.data_ptr() and output.numel() == tensor.numel() and output.dtype == tensor.dtype
        if same and not isinstance(model.get_submodule(path), PASSING):
            return path if version == tensor._version else ""
    return ""


def _does(module: nn.Module, output: Tensor) -> str:
    """What an activation does, as a name; "" for anything else, also for a softmax over what are not the classes."""
    over_classes = getattr(module, "dim", None) in ((1, -1) if output.ndim == 2 else (1,))
    names = {nn.Sigmoid: "sigmoid", nn.Softmax: "softmax", nn.LogSoftmax: "log_softmax"}
    name = names.get(type(module), "")
    return name if name == "sigmoid" or over_classes else ""


def _why_fixed(model: nn.Module, path: str, calls: dict[str, list[_Call]]) -> str:
    """Why the number of a layer's outputs cannot be changed, as far as its kind tells."""
    layer = model.get_submodule(path) if path else None
    if type(layer) is not nn.Linear:
        return f"ends in {type(layer).__name__}, no nn.Linear" if layer is not None else "does not end in an nn.Linear"
    held = [parameter for _, parameter in model.named_parameters(remove_duplicate=False)]
    if any(sum(other is mine for other in held) > 1 for mine in layer.parameters()):
        return f"uses the weights of {path} elsewhere too"
    if len(calls[path]) > 1:
        return f"calls {path} several times"
    if not all(parameter.requires_grad for parameter in layer.parameters()):
        return f"has its last layer {path} frozen"
    return ""


def _refuses_more(model: nn.Module, path: str, activation: str, inputs: Any) -> str:
    """Why a model cannot be given a wider last layer, found by giving it one: the outputs it had must come out as before, beside others."""
    layer = model.get_submodule(path)
    assert isinstance(layer, nn.Linear)
    kept = {path: layer, **({activation: model.get_submodule(activation)} if activation else {})}
    per = layer.out_features
    try:
        with torch.no_grad(), seeded(0):
            change_head(model, "", 0, False, activation)
            had = call(model, inputs)
            change_head(model, path, per + EXTRA, False, "")
            got = call(model, inputs)
    except Exception as error:  # whatever the user's forward raises
        return f"fails with more outputs ({type(error).__name__})"
    finally:
        for name, module in kept.items():
            model.set_submodule(name, module)
    if got.numel() * per != had.numel() * (per + EXTRA) or got.shape[-1] != per + EXTRA:
        return "does not hand on what a wider last layer gives"
    same = torch.allclose(got[..., :per].reshape(had.shape), had, rtol=1e-3, atol=1e-4)  # wider sums may be added up in another order
    return "" if same else "does not hand on what a wider last layer gives"
