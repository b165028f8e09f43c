"""Sharpness-aware SGD; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class SharpnessAwareSGD(torch.optim.Optimizer):
    """SGD with momentum by the gradient at the worst place within `rho`, as far as one gradient can tell where that is."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, momentum: float, rho: float, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "rho": rho, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]  # a step of two passes needs its closure
        with torch.enable_grad():
            loss = closure()
        moved = [(group, parameter) for group in self.param_groups for parameter in group["params"] if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm([parameter.grad for _, parameter in moved])
        here = [parameter.clone() for _, parameter in moved]
        for group, parameter in moved:
            parameter.add_(parameter.grad * (group["rho"] / (norm + 1e-12)))  # equation 2
        with torch.enable_grad():
            closure()
        for (group, parameter), weights in zip(moved, here, strict=True):
            parameter.copy_(weights)
            self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        assert parameter.grad is not None
        gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
        state = self.state[parameter]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        parameter.sub_(group["lr"] * state["momentum_buffer"])
