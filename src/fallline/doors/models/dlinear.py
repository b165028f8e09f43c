"""The default model for series: DLinear (Zeng et al., 2023, arXiv:2205.13504) on windows relative to their last value, as its NLinear."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DLinear(nn.Module):
    """Two linear maps over time, of the trend and of what is left of it, shared by all series; and one of all covariates at once.

    Args:
        lookback: steps of a window.
        horizon: steps to forecast.
        series: number of series; of one series the output is (windows, horizon), of several (windows, horizon, series).
        covariates: columns behind the series that a window has too and that are not forecast; what they add is nothing at first.
        smoothing: steps of the moving average that is the trend, odd; the paper's 25.
    """

    def __init__(self, lookback: int, horizon: int, series: int = 1, smoothing: int = 25, covariates: int = 0) -> None:
        super().__init__()
        self.trend = nn.Linear(lookback, horizon)
        self.rest = nn.Linear(lookback, horizon)
        self.smoothing = min(smoothing, lookback - 1 + lookback % 2)
        self.single, self.series, self.horizon = series == 1, series, horizon
        self.covariates = nn.Linear(covariates * lookback, horizon * series, bias=False) if covariates else None
        if self.covariates is not None:
            nn.init.zeros_(self.covariates.weight)  # they have to earn what they add

    def forward(self, windows: Tensor) -> Tensor:
        seen, windows = windows[:, :, self.series :], windows[:, :, : self.series]
        last = windows[:, -1:]
        relative = (windows - last).transpose(1, 2)  # (windows, series, lookback): a level that drifts does not matter
        half = self.smoothing // 2
        ends = torch.cat([relative[:, :, :1].expand(-1, -1, half), relative, relative[:, :, -1:].expand(-1, -1, half)], dim=2)
        trend = nn.functional.avg_pool1d(ends, self.smoothing, stride=1)
        ahead: Tensor = (self.trend(trend) + self.rest(relative - trend)).transpose(1, 2) + last
        if self.covariates is not None:
            ahead = ahead + self.covariates(seen.flatten(1)).unflatten(1, (self.horizon, self.series))
        return ahead.squeeze(2) if self.single else ahead
