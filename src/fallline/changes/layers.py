"""Changes of the model: what its layers are made of, start with and pass on; its parameters keep their names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fallline.changes import Change

if TYPE_CHECKING:
    from torch import nn

    from fallline._problem import Problem
    from fallline.signals.calls import Call

GROUPS = 8  # of a GroupNorm: between one group and a group a channel, as for 32 of 256 channels in Wu and He (2018)


def rectified_between(paths: Sequence[str]) -> Change:
    """A ReLU behind each of these layers."""

    def edit(model: nn.Module) -> None:
        for path in paths:
            model.get_submodule(path).register_forward_hook(lambda _, __, output: output.relu())

    return _model(f"a ReLU behind {', '.join(paths[:3])}", "nn.ReLU() behind each layer but the last", edit)


def rectified_instead(calls: Iterable[Call]) -> Change:
    """A ReLU in place of squashing functions."""
    found = list(calls)
    names = ", ".join(dict.fromkeys(call.name for call in found))
    return _exchanged(f"ReLU in place of {names}", f"nn.ReLU() in place of {names}", found, lambda _, __, args, ___: args[0].relu())


def passed_over(calls: Iterable[Call]) -> Change:
    """Activations left out."""
    found = list(calls)
    names = ", ".join(dict.fromkeys(call.name for call in found))
    return _exchanged(f"without the {names}", f"take the {names} out of forward", found, lambda _, __, args, ___: args[0])


def sigmoid_instead(calls: Iterable[Call]) -> Change:
    """A sigmoid in place of a softmax over a single unit: probabilities of yes, as the loss of probabilities wants them."""
    words, source = "sigmoid in place of the softmax over one unit", "nn.Sigmoid() in place of the softmax"
    return _exchanged(words, source, list(calls), lambda _, __, args, ___: args[0].sigmoid())


def over_dimension(calls: Iterable[Call], dim: int) -> Change:
    """A softmax over another dimension."""

    def stand(_: nn.Module, function: Any, args: Any, __: Any) -> Any:
        return args[0].log_softmax(dim) if "log" in function.__name__ else args[0].softmax(dim)

    return _exchanged(f"the softmax over dimension {dim}", f"softmax(..., dim={dim})", list(calls), stand)


def dropout_in_training_alone(calls: Iterable[Call]) -> Change:
    """Dropout that is called by name acts in training mode only."""

    def stand(model: nn.Module, function: Any, args: Any, keywords: Any) -> Any:
        return function(*args, **keywords) if model.training else args[0]

    return _exchanged("dropout in training mode only", "F.dropout(x, p, training=self.training)", list(calls), stand)


def rejoined() -> Change:
    """No detach, data or no_grad within forward."""

    def edit(model: nn.Module) -> None:
        from fallline.changes._calls import rejoin

        rejoin(model)

    return _model("the graph kept: no detach, data or no_grad in forward", "take detach, .data or no_grad out of forward", edit)


def drawn_anew() -> Change:
    """Every layer that can draws its weights as torch's own initialisation does."""

    def edit(model: nn.Module) -> None:
        from fallline.signals.reruns import default_weights

        default_weights(model)

    return _model("torch's own initial weights", "leave out the initialisation, or call reset_parameters()", edit)


def group_norms() -> Change:
    """A GroupNorm in place of every batch norm, with its scale and shift."""
    return _model("GroupNorm in place of batch norm", f"nn.GroupNorm({GROUPS}, channels) in place of nn.BatchNorm", regroup)


def regroup(model: nn.Module) -> None:
    """Put a GroupNorm in the place of every batch norm; scale and shift stay the parameters that they were."""
    from torch import nn

    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
    for path, module in list(model.named_modules()):
        if isinstance(module, kinds):
            width = module.num_features
            norm = nn.GroupNorm(math.gcd(width, GROUPS), width, eps=module.eps, affine=module.affine)
            if module.affine:
                norm.weight, norm.bias = module.weight, module.bias
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, norm)


def norm_momentum(momentum: float) -> Change:
    """Running statistics that follow sooner."""

    def edit(model: nn.Module) -> None:
        from torch.nn.modules.batchnorm import _NormBase

        for module in model.modules():
            if isinstance(module, _NormBase) and module.momentum is not None:
                module.momentum = momentum

    return _model(f"momentum {momentum:g} in the batch norms", f"nn.BatchNorm(..., momentum={momentum:g})", edit)


def dropout_of(p: float) -> Change:
    """No dropout above this probability."""

    def edit(model: nn.Module) -> None:
        from torch.nn.modules.dropout import _DropoutNd

        for module in model.modules():
            if isinstance(module, _DropoutNd):
                module.p = min(module.p, p)

    return _model(f"dropout of at most {p:g}", f"nn.Dropout({p:g})", edit)


def registered() -> Change:
    """Modules in plain lists and dicts, and weights that are plain tensors, become parts of their module, and the optimizer holds them."""

    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_model
        from fallline.changes.optimizers import holding_all

        return holding_all().make(with_model(problem, _register))

    return Change(
        words="layers in lists made parts of the model", source="nn.ModuleList, nn.ModuleDict and nn.Parameter, in __init__", make=make
    )


def _register(model: nn.Module) -> None:
    import torch
    from torch import nn

    for module in list(model.modules()):
        for name, value in list(vars(module).items()):
            if name.startswith("_"):
                continue
            if isinstance(value, list | tuple) and value and all(isinstance(part, nn.Module) for part in value):
                found: nn.Module = nn.ModuleList(value)
            elif isinstance(value, dict) and value and all(isinstance(part, nn.Module) for part in value.values()):
                found = nn.ModuleDict({str(key): part for key, part in value.items()})
                if any(not isinstance(key, str) for key in value):
                    continue
            elif isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf:
                delattr(module, name)
                setattr(module, name, nn.Parameter(value.detach()))
                continue
            else:
                continue
            delattr(module, name)
            setattr(module, name, found)
            _register(found)


def _exchanged(words: str, source: str, calls: Sequence[Call], stand: Any) -> Change:
    wanted = {(call.name, call.place): stand for call in calls}

    def edit(model: nn.Module) -> None:
        from fallline.changes._calls import exchange

        exchange(model, wanted)

    return _model(words, source, edit)


def _model(words: str, source: str, edit: Any) -> Change:
    def make(problem: Problem) -> Problem:
        from fallline.changes._parts import with_model

        return with_model(problem, edit)

    return Change(words=words, source=source, make=make)
