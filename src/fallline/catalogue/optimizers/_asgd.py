"""Averaged SGD whose average is judged and handed back; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class AveragedSGD(torch.optim.ASGD):
    """torch's ASGD, which keeps the average and leaves it in its state: `eval` puts it into the model, `train` takes it out again."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if "eta" in self.state[parameter]:  # torch would take the lr of the step before
                    self.state[parameter]["eta"].fill_(group["lr"])
        return super().step(closure)

    def eval(self) -> None:
        self._exchange()

    def train(self) -> None:
        self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if "ax" in self.state[parameter]:
                    average = self.state[parameter]["ax"]
                    trained = parameter.clone()
                    parameter.copy_(average)
                    average.copy_(trained)
