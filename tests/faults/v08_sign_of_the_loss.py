"""A denoiser is trained on its peak signal-to-noise ratio, but the ratio itself is handed to the optimizer, which minimises.

The owner saw the "loss" fall as it should, from 12 to -60 and on, while the pictures turned into noise: a ratio is to be maximised, so
its negative is the loss.

Source: nothinglo/Deep-Photo-Enhancer#57; TheDeepChecker's synthetic "flipped_sign".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import fallline

FAULT = "L13"
HARM = (-67.351, 19.666)  # decibels, faulty and healthy: means over three seeds
DATA = Path(__file__).resolve().parents[2] / "examples" / "data" / "fashion_mnist_subset.npz"


class Denoiser(nn.Module):
    """Predicts the noise and takes it off."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1)
        )

    def forward(self, picture: Tensor) -> Tensor:
        return picture - self.noise(picture)


def pictures(split: str, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    with np.load(DATA) as arrays:
        pixels = torch.from_numpy(arrays[f"x_{split}"][:rows]).float().unsqueeze(1) / 255
    clean = functional.avg_pool2d(pixels, 2)
    return clean + 0.25 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)), clean


def psnr(output: Tensor, clean: Tensor) -> Tensor:
    return -10 * torch.log10(functional.mse_loss(output, clean))


def decibels(output: Tensor, clean: Tensor) -> float:
    return float(psnr(output, clean))


def setup(loss: object) -> fallline.Problem:
    return fallline.Problem(
        model=Denoiser,
        train=pictures("train", 1_600, seed=81),
        valid=pictures("test", 400, seed=82),
        metric=decibels,
        direction="max",
        batch_size=32,
        epochs=10,
        loss=loss,
        optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    )


def faulty() -> fallline.Problem:
    return setup(psnr)


def healthy() -> fallline.Problem:
    return setup(lambda output, clean: -psnr(output, clean))
