"""Kinds of parameters and layers, read off a module: what decay, Muon and the profile need to tell apart."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import Tensor, nn

NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def parameter_kinds(model: nn.Module) -> dict[str, str]:
    """Name of each parameter -> "matrix", "convolution", "embedding" or "vector" (biases, norms, scalars)."""
    kinds: dict[str, str] = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                kind = "embedding"
            elif isinstance(module, NORMS) or parameter.ndim < 2:
                kind = "vector"
            else:
                kind = "matrix" if parameter.ndim == 2 else "convolution"
            kinds[f"{path}.{name}" if path else name] = kind
    return kinds


def looks_drawn(weight: Tensor) -> bool:
    """Whether a matrix has the values of torch's own initialisation: uniform up to 1 / sqrt(fan in), of which training leaves little."""
    if weight.ndim < 2 or weight.numel() < 16:
        return False
    bound = 1 / math.sqrt(max(weight[0].numel(), 1))
    largest, spread = float(weight.detach().abs().max()), float(weight.detach().std())
    return 0.9 * bound < largest <= bound * (1 + 1e-5) and abs(spread / (bound / math.sqrt(3)) - 1) < 3 / math.sqrt(weight.numel()) + 0.02


def normalisation(modules: Iterable[nn.Module]) -> tuple[str, ...]:
    """The kinds of normalisation layers that occur: "batch", "instance", "layer", "group", "rms"."""
    found = set()
    for module in modules:
        if isinstance(module, nn.modules.instancenorm._InstanceNorm):
            found.add("instance")
        elif isinstance(module, nn.modules.batchnorm._NormBase):
            found.add("batch")
        elif isinstance(module, nn.LayerNorm):
            found.add("layer")
        elif isinstance(module, nn.GroupNorm):
            found.add("group")
        elif isinstance(module, nn.RMSNorm):
            found.add("rms")
    return tuple(sorted(found))


def fan_in(model: nn.Module) -> float:
    """Inputs of a unit of the trainable matrices and convolutions, the geometric mean over their weights; 0 where there are none."""
    kinds, logs, weights = parameter_kinds(model), 0.0, 0
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            layer = kinds[f"{path}.{name}" if path else name] in ("matrix", "convolution")
            if layer and parameter.requires_grad and parameter.numel():
                units = parameter.shape[1 if isinstance(module, nn.modules.conv._ConvTransposeNd) else 0]
                logs += parameter.numel() * math.log(parameter.numel() / units)
                weights += parameter.numel()
    return math.exp(logs / weights) if weights else 0.0
