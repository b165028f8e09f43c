"""The tutorial's RNN with mean squared error: carbon dioxide on Mauna Loa in four weeks, with SGD and momentum as the baseline."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "mauna_loa_co2_weekly.csv.gz"
WEEKS = 60  # a window sees the same weeks of the year before
AHEAD = 4  # weeks to look ahead
SPREAD = 3.0  # ppm, about the standard deviation of a window around its last value; it scales inputs, not the target


class SeriesRNN(nn.Module):
    """Reads a window week by week; its last state says the change that follows."""

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.rnn = nn.RNN(1, hidden, batch_first=True)
        self.out = nn.Linear(hidden, 1)

    def forward(self, window: Tensor) -> Tensor:
        states, _ = self.rnn(window)
        return self.out(states[:, -1])


def windows(values: Tensor, every: int = 1) -> tuple[Tensor, Tensor]:
    """Windows relative to their last value, so that the rising level does not matter, and the change in ppm over the weeks ahead."""
    seen = values[:-AHEAD].unfold(0, WEEKS, 1)
    last = seen[:, -1:]
    ahead = values[WEEKS + AHEAD - 1 :].unsqueeze(1)
    return ((seen - last) / SPREAD).unsqueeze(2)[::every], (ahead - last)[::every]


def problem() -> fallline.Problem:
    table = pl.read_csv(DATA, try_parse_dates=True).with_columns(pl.col("co2").interpolate())  # 59 weeks are missing
    values = torch.tensor(table["co2"].to_list())
    years = table["date"].dt.year().to_numpy()
    first_valid, first_audit = int((years < 1986).sum()), int((years < 1994).sum())
    # In time order, and no window crosses from one part into the next. Errors four weeks apart share no week: the interval counts examples
    # as independent, so audit reads every fourth window only.
    return fallline.Problem(
        model=SeriesRNN,
        train=windows(values[:first_valid]),
        valid=windows(values[first_valid:first_audit]),
        audit=windows(values[first_audit:], every=AHEAD),
        metric="rmse",
        batch_size=32,
        epochs=30,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
    )
