"""Long spectra allow only two examples a batch, and the net has nn.BatchNorm1d after every layer; a run has few steps.

The owner saw a training loss that jumped from batch to batch and hardly fell, and an evaluation, on the training examples too, far from
what the same net reaches without these norms. The mean and the variance of two examples are noise, in training; and what the layers
remember of them does not describe the data that eval mode then normalises with them.

Source: stackoverflow.com/questions/48320854 (TheDeepChecker's list); chemprop/chemprop#607.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import fallline

FAULT = "M08"
HARM = (0.686, 0.154)  # rmse, faulty and healthy: means over three seeds
BANDS = 80


def spectra(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Absorption over 80 bands: three overlapping lines whose strengths vary; the middle one's is asked for."""
    generator = torch.Generator().manual_seed(seed)
    band = torch.linspace(0, 1, BANDS)
    lines = torch.stack([(-((band - centre) ** 2) / 0.02).exp() for centre in (0.3, 0.5, 0.7)])
    strength = torch.rand(rows, 3, generator=generator)
    spectrum = strength @ lines + 0.05 * torch.randn(rows, BANDS, generator=generator)
    return (spectrum - 0.45) / 0.35, (strength[:, 1:2] - 0.5) / 0.29


def network(norm: Callable[[int], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Linear(BANDS, 64), norm(64), nn.ReLU(), nn.Linear(64, 64), norm(64), nn.ReLU(), nn.Linear(64, 64), norm(64), nn.ReLU(),
        nn.Linear(64, 1),
    )  # fmt: skip


def setup(norm: Callable[[int], nn.Module]) -> fallline.Problem:
    return fallline.Problem(
        model=lambda: network(norm),
        train=spectra(120, seed=141),
        valid=spectra(300, seed=142),
        metric="rmse",
        batch_size=2,
        epochs=12,
        loss=nn.MSELoss(),
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )


def faulty() -> fallline.Problem:
    return setup(nn.BatchNorm1d)


def healthy() -> fallline.Problem:
    return setup(lambda width: nn.GroupNorm(8, width))
