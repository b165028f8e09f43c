"""A cosine schedule is given half the number of epochs as T_max, left from a shorter run, so the lr comes down and climbs back again.

The owner saw the best validation error in the middle of the run and a final one 40 % worse. torch's CosineAnnealingLR does
not stay at its minimum: after T_max epochs the cosine rises again, and at the end the lr is at its full height.

Source: CodefyUI/CodefyUI#205; lucidrains/imagen-pytorch#71.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import fallline

FAULT = "S06"
HARM = (0.174, 0.127)  # rmse, faulty and healthy: means over three seeds
EPOCHS = 24


def orders(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Ten standardised readings and a noisy response with a curved and an interacting part."""
    world = torch.Generator().manual_seed(220)
    first, second = torch.randn(10, generator=world), torch.randn(10, generator=world)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 10, generator=generator)
    exact = (inputs @ first / 3).tanh() + 0.5 * (inputs @ second / 3) * inputs[:, 0]
    return inputs, (exact + 0.1 * torch.randn(rows, generator=generator)).unsqueeze(1)


def setup(t_max: int) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)),
        train=orders(2_000, seed=221),
        valid=orders(1_500, seed=222),
        metric="rmse",
        batch_size=16,
        epochs=EPOCHS,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.07, momentum=0.9),
        scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=t_max),
    )


def faulty() -> fallline.Problem:
    return setup(t_max=EPOCHS // 2)


def healthy() -> fallline.Problem:
    return setup(t_max=EPOCHS)
