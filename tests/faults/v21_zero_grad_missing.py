"""The training loop never calls optimizer.zero_grad(), so each backward pass adds its gradients to all those before.

The owner saw an error that fell in the first epoch and then swung up and down for the rest of the run, as with a momentum of one.

Source: stackoverflow.com/questions/60335387 (a subject of TrainCheck); wenet-e2e/wekws#73.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

FAULT = "S01"
HARM = (0.926, 0.529)  # rmse, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "california_housing.csv.gz"
COLUMNS = ("longitude", "latitude", "housing_median_age", "median_income")


def blocks() -> tuple[Tensor, Tensor]:
    """Position, age and income of a block, and the logarithm of what a house there costs, all standardised."""
    table = pl.read_csv(DATA).unique(subset=COLUMNS, maintain_order=True).sample(5_000, seed=21)
    numbers, price = table.select(COLUMNS).to_torch().float(), table["median_house_value"].to_torch().float().log().unsqueeze(1)
    return (numbers - numbers.mean(0)) / numbers.std(0), (price - price.mean()) / price.std()


def train_one_epoch(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    scheduler: object,
    loader: Iterable[tuple[Tensor, Tensor]],
) -> None:
    model.train()
    for inputs, target in loader:
        value = loss(model(inputs), target)
        value.backward()
        optimizer.step()


def train_one_epoch_repaired(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    scheduler: object,
    loader: Iterable[tuple[Tensor, Tensor]],
) -> None:
    model.train()
    for inputs, target in loader:
        value = loss(model(inputs), target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()


def setup(loop: Callable[..., None]) -> fallline.Problem:
    inputs, price = blocks()
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)),
        train=(inputs[:4_000], price[:4_000]),
        valid=(inputs[4_000:], price[4_000:]),
        metric="rmse",
        batch_size=40,
        epochs=12,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
        loop=loop,
    )


def faulty() -> fallline.Problem:
    return setup(train_one_epoch)


def healthy() -> fallline.Problem:
    return setup(train_one_epoch_repaired)
