"""Shampoo with the step length of Adam; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LONGEST = 1024  # a longer side of a matrix stays as it is: its root would take longer than many steps


class Shampoo(torch.optim.Optimizer):
    """Averaged gradients, for matrices between L^(-1/4) and R^(-1/4), and each tensor's step as long as Adam's would be."""

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        betas: tuple[float, float],
        precondition_frequency: int,
        eps: float,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "precondition_frequency": precondition_frequency, "eps": eps}
        super().__init__(groups, {**defaults, "weight_decay": weight_decay})

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
        sides = _sides(gradient)
        if not state:
            state["steps"], state["mean"], state["square"] = 0, torch.zeros_like(parameter), torch.zeros_like(parameter)
            for name, size in sides.items():
                state[name] = gradient.new_zeros(size, size)
                state[f"{name}_root"] = torch.eye(size, dtype=gradient.dtype, device=gradient.device)
        state["mean"].lerp_(gradient, 1.0 - beta1)
        state["square"].mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        matrix = gradient.flatten(1) if sides else gradient
        for name in sides:
            product = matrix @ matrix.T if name == "left" else matrix.T @ matrix
            state[name].lerp_(product, 1.0 - beta2)
            if state["steps"] % group["precondition_frequency"] == 0:
                state[f"{name}_root"].copy_(inverse_fourth_root(state[name], group["eps"]))
        state["steps"] += 1
        mean = state["mean"] / (1.0 - beta1 ** state["steps"])
        adam = mean / ((state["square"] / (1.0 - beta2 ** state["steps"])).sqrt() + group["eps"])
        way = mean.flatten(1) if sides else adam
        way = state["left_root"] @ way if "left" in sides else way
        way = way @ state["right_root"] if "right" in sides else way
        length = adam.norm() / way.norm().clamp(min=torch.finfo(way.dtype).tiny)
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.sub_(group["lr"] * length * way.view_as(parameter))


def inverse_fourth_root(product: torch.Tensor, eps: float) -> torch.Tensor:
    """`product`^(-1/4), in double precision; eigenvalues below `eps` of the largest count as that: what was not seen stays finite."""
    values, vectors = torch.linalg.eigh(product.double())
    floor = (eps * values[-1]).clamp(min=torch.finfo(torch.float32).tiny)
    root = (vectors * values.clamp(min=floor).pow(-0.25)) @ vectors.T
    scaled: torch.Tensor = root / root.norm().clamp(min=torch.finfo(torch.float32).tiny)  # its size is taken out again anyway
    return scaled.to(product.dtype)


def _sides(gradient: torch.Tensor) -> dict[str, int]:
    """The sides of a matrix, or of a kernel as one, that are short enough to be turned; none of anything else."""
    if gradient.ndim < 2:
        return {}
    rows, columns = gradient.shape[0], gradient[0].numel()
    return {name: size for name, size in (("left", rows), ("right", columns)) if 1 < size <= LONGEST}
