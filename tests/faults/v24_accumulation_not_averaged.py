"""Gradients of 16 micro-batches are accumulated before each step, to imitate a batch of 128, but nobody divides the loss by 16.

The owner saw that settings which trained well with real batches of 128 diverged with micro-batches of 8. The sum is 16 times the mean, and
SGD's lr was near its limit already.

Source: fastai/fastai#3023; hirofumi0810/neural_sp#168.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

import fallline

FAULT = "S12"
HARM = (math.inf, 0.075)  # rmse, faulty and healthy: means over three seeds
MICRO = 16  # micro-batches a step


def echoes(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """A pulse in noise on 40 moments; where it lies, from -1 to 1, is asked for."""
    generator = torch.Generator().manual_seed(seed)
    place = 2 * torch.rand(rows, 1, generator=generator) - 1
    moment = torch.linspace(-1.2, 1.2, 40)
    pulse = (-((moment - place) ** 2) / 0.05).exp()
    return 2 * pulse - 0.6 + 0.3 * torch.randn(rows, 40, generator=generator), place / 0.58


def loop(divisor: int) -> Callable[..., None]:
    def train_one_epoch(
        model: nn.Module,
        loss: Callable[[Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        scheduler: object,
        loader: Iterable[tuple[Tensor, Tensor]],
    ) -> None:
        model.train()
        optimizer.zero_grad()
        for number, (inputs, target) in enumerate(loader, start=1):
            value = loss(model(inputs), target) / divisor
            value.backward()
            if number % MICRO == 0:
                optimizer.step()
                optimizer.zero_grad()

    return train_one_epoch


def setup(divisor: int) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(40, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)),
        train=echoes(3_072, seed=241),  # 24 steps an epoch, none of them of fewer micro-batches
        valid=echoes(600, seed=242),
        metric="rmse",
        batch_size=8,
        epochs=15,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        loop=loop(divisor),
    )


def faulty() -> fallline.Problem:
    return setup(divisor=1)


def healthy() -> fallline.Problem:
    return setup(divisor=MICRO)
