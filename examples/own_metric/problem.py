"""A metric of one's own: the share of houses priced within 10 %, for California housing. No loss is that metric; several lead to it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "california_housing.csv.gz"
PLACES = ("<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN")
CENTRE = 12.0  # log of a middling price, 163,000 dollars: an untrained model then starts near the target


def within_ten_percent(output: Tensor, target: Tensor) -> float:
    """The estimators' usual yardstick. Called once with all outputs and targets of a split, here logs of prices less CENTRE."""
    ratio = (output - target).exp()
    return float(((ratio > 0.9) & (ratio < 1.1)).double().mean())


def features(table: pl.DataFrame) -> Tensor:
    rooms, households, people = table["total_rooms"], table["households"], table["population"]
    columns = [
        table["longitude"], table["latitude"], table["housing_median_age"], table["median_income"],
        (rooms / households).log(), (people / households).log(), rooms.log(),
    ]  # fmt: skip
    numbers = torch.tensor([column.to_list() for column in columns]).T
    places = torch.tensor([[float(place == known) for known in PLACES] for place in table["ocean_proximity"]])
    return torch.cat([(numbers - numbers.mean(0)) / numbers.std(0), places], dim=1)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))


def problem() -> fallline.Problem:
    table = pl.read_csv(DATA)
    target = torch.tensor(table["median_house_value"].to_list()).log().unsqueeze(1) - CENTRE
    return fallline.Problem(
        model=network,
        train=(features(table), target),
        metric=within_ten_percent,
        direction="max",
        batch_size=128,
        epochs=10,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )
