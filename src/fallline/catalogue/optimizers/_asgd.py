"""SGD whose averaged weights are judged and handed back; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class AveragedSGD(torch.optim.Optimizer):
    """torch.optim.ASGD with lambd 0, but `eval` and `train` exchange the average, which torch leaves in its state, and the weights."""

    def __init__(self, groups: list[dict[str, Any]], lr: float, begin: int, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "begin": begin, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch types it by overloads
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["steps"], state["average"] = 0, torch.zeros_like(parameter)
        assert parameter.grad is not None
        parameter.sub_(group["lr"] * parameter.grad.add(parameter, alpha=group["weight_decay"]))
        state["steps"] += 1
        state["average"].lerp_(parameter, 1.0 / max(1, state["steps"] - group["begin"]))  # until it begins it is the weights themselves

    def eval(self) -> None:
        self._exchange()

    def train(self) -> None:
        self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if "average" in self.state[parameter]:
                    trained = parameter.clone()
                    parameter.copy_(self.state[parameter]["average"])
                    self.state[parameter]["average"].copy_(trained)
