"""A yes/no classifier has one output unit and puts a softmax on it before nn.BCELoss.

The owner saw the same prediction, exactly 1, for every row, an accuracy equal to the share of the positive class and a loss of tens that
never moved. A softmax over a single number is 1 whatever the number is, so there is no gradient either.

Source: stackoverflow.com/questions/33969059, 42800203 (DeepFD 7, 41); 34886605 (TheDeepChecker's list).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

FAULT = "L08"
HARM = (0.511, 0.799)  # accuracy, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "california_housing.csv.gz"
COLUMNS = ("longitude", "latitude", "housing_median_age", "median_income")


def blocks() -> tuple[Tensor, Tensor]:
    """Is a house of this block dearer than the median of the state?"""
    table = pl.read_csv(DATA).unique(subset=COLUMNS, maintain_order=True).sample(4_000, seed=4)
    numbers = table.select(COLUMNS).to_torch().float()
    dear = (table["median_house_value"] > 179_700).to_torch().float().unsqueeze(1)
    return (numbers - numbers.mean(0)) / numbers.std(0), dear


def network(last: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 1), last)


def setup(last: nn.Module) -> fallline.Problem:
    inputs, dear = blocks()
    return fallline.Problem(
        model=lambda: network(last),
        train=(inputs[:3_000], dear[:3_000]),
        valid=(inputs[3_000:], dear[3_000:]),
        metric="accuracy",
        batch_size=32,
        epochs=12,
        loss=nn.BCELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=2e-3),
    )


def faulty() -> fallline.Problem:
    return setup(nn.Softmax(dim=1))


def healthy() -> fallline.Problem:
    return setup(nn.Sigmoid())
