"""AdamW that waits where its momentum and the gradient disagree; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class CautiousAdamW(torch.optim.Optimizer):
    """AdamW whose step is zero where it would go against the newest gradient, and longer elsewhere to make up for it."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch types it by overloads
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        if not state:
            state["steps"], state["mean"], state["square"] = 0, torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["steps"] += 1
        state["mean"].lerp_(gradient, 1.0 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        divisor = (state["square"] / (1.0 - beta2 ** state["steps"])).sqrt() + group["eps"]
        agrees = (state["mean"] * gradient > 0).to(gradient.dtype)
        stretch = 1.0 / agrees.mean().clamp(min=1e-3)  # as the authors' code: the step keeps its mean length
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.sub_(group["lr"] / (1.0 - beta1 ** state["steps"]) * stretch * agrees * state["mean"] / divisor)
