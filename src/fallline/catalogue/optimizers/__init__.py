"""Optimizers: one entry a file. Add a file with `ENTRY = Optimizer(...)`; the contract suite proves it.

`lr` is always the peak. `weight_decay` is decoupled, `l2` is coupled. A group that carries `decay=False` gets neither.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fallline._errors import UsageError
from fallline._profile import Profile
from fallline.catalogue import EXTRA, Hyperparameter, Settings

if TYPE_CHECKING:
    import torch


PINNED = '"fallline[optimizers]"'


def lr(default: float, why: str, low: float = 1e-5, high: float = 1.0) -> Hyperparameter:
    """The hyperparameter `lr` of an optimizer: its peak, drawn on a logarithmic scale."""
    return Hyperparameter(default=default, why=why, low=low, high=high, log=True, above_zero=True)


def fastest(cls: type[torch.optim.Optimizer], groups: list[dict[str, Any]]) -> dict[str, bool]:
    """The keyword that makes `cls` step fastest on these parameters: fused, else foreach, else nothing.

    The signature is read, not listed: torch 2.9 to 2.15 differ in what they offer.
    """
    known = inspect.signature(cls).parameters
    parameters = [parameter for group in groups for parameter in group["params"]]
    if "fused" in known and all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters):
        return {"fused": True}
    if "foreach" in known:
        return {"foreach": True}
    return {}


def torch_groups(groups: list[dict[str, Any]], decay: float, *, kinds: bool = False) -> list[dict[str, Any]]:
    """Groups as torch.optim reads them: `weight_decay` spelled out, our own `decay` and `kind` taken off.

    `kinds=True` leaves `kind` ("matrix" or "other") on, for optimizers that treat matrices apart.
    """
    ours = {"decay"} if kinds else {"decay", "kind"}
    spelled = []
    for group in groups:
        plain = {key: value for key, value in group.items() if key not in ours}
        spelled.append({**plain, "weight_decay": decay if group.get("decay", True) else 0.0})
    return spelled


def adam_step(weights: torch.Tensor, gradients: torch.Tensor, state: dict[str, torch.Tensor], step: int, h: Mapping[str, Any]) -> None:
    """Adam's step for many lanes at once, decay not in it: what AdamW and Muon's other parameters share with it."""
    mean = state["exp_avg"].lerp_(gradients, 1 - h["beta1"])
    square = state["exp_avg_sq"].lerp_(gradients.square(), 1 - h["beta2"])
    divisor = (square / (1 - h["beta2"] ** step)).sqrt_().add_(h["eps"])
    weights.sub_((mean * (h["lr"] / (1 - h["beta1"] ** step))).div_(divisor))


def keywords(settings: Settings, *skip: str) -> str:
    """Settings as the arguments of a call in source code, in their own order."""
    return ", ".join(f"{name}={value!r}" for name, value in settings.items() if name not in skip)


def beta1(default: float = 0.9, why: str = "torch's default and the paper's: gradients are averaged over about 10 steps") -> Hyperparameter:
    """The share of the averaged gradient that is kept a step."""
    return Hyperparameter(default=default, why=why, low=0.8, high=0.98, below=1.0)


def beta2(
    default: float = 0.999, why: str = "torch's default and the paper's: squares are averaged over about 1,000 steps"
) -> Hyperparameter:
    """The share of the averaged squared gradient that is kept a step."""
    return Hyperparameter(default=default, why=why, low=0.9, high=0.9999, below=1.0)


def eps(default: float = 1e-8, why: str = "torch's default and the paper's: far below any gradient that matters") -> Hyperparameter:
    """What is added to the divisor; large values turn an adaptive rule towards SGD."""
    return Hyperparameter(default=default, why=why, low=1e-12, high=1e-4, log=True, above_zero=True)


def weight_decay(default: float, why: str, high: float = 0.3) -> Hyperparameter:
    """Decoupled decay: every step takes lr * weight_decay of a weight away, whatever the gradient."""
    return Hyperparameter(default=default, why=why, low=1e-4, high=high, log=True)


def l2(why: str = "torch's default: no decay unless asked for", high: float = 1e-2) -> Hyperparameter:
    """Coupled decay: l2 times the weight is added to its gradient, and goes through the whole update rule."""
    return Hyperparameter(default=0.0, why=why, low=1e-6, high=high, log=True)


def library_class(name: str) -> type[torch.optim.Optimizer]:
    """The class `name` of pytorch_optimizer.

    Raises:
        UsageError: the package is not installed, or has no such class.
    """
    try:
        package = importlib.import_module("pytorch_optimizer")
    except ModuleNotFoundError as error:
        raise UsageError(f"optimizer {name} {EXTRA}") from error
    found = getattr(package, name, None)
    if found is None:
        raise UsageError(f"the installed pytorch_optimizer has no {name}; take the version of the extra: pip install --upgrade {PINNED}")
    return found  # type: ignore[no-any-return]  # the package is not typed


def library(name: str, groups: list[dict[str, Any]], decay: float, **settings: Any) -> torch.optim.Optimizer:
    """The optimizer `name` of pytorch_optimizer.

    Raises:
        UsageError: the package is not installed.
    """
    return library_class(name)(torch_groups(groups, decay), **settings)


def needs_matrices(profile: Profile) -> str:
    """Why an optimizer made for weight matrices is no candidate."""
    return "" if profile.matrices + profile.convolutions else "needs weight matrices, the model trains none"
