"""The data of the controls: small seeded tasks that each kind of model can learn, as keywords of `Problem`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

CLOTHES = Path(__file__).resolve().parents[3] / "examples" / "data" / "fashion_mnist_subset.npz"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def response(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Six standardised columns and a smooth standardised response with noise."""
    generator = seeded(seed)
    inputs = torch.randn(rows, 6, generator=generator)
    exact = inputs[:, 0] - 0.7 * inputs[:, 1].abs() + 0.6 * inputs[:, 2] * inputs[:, 3] + 0.5 * (2 * inputs[:, 4]).sin()
    return inputs, ((exact + 0.2 * torch.randn(rows, generator=generator) + 0.56) / 1.36).unsqueeze(1)


def regression(rows: int = 2_000, batch_size: int = 32, epochs: int = 20, metric: Any = "rmse") -> dict[str, Any]:
    return {
        "train": response(rows, 1), "valid": response(600, 2), "metric": metric, "batch_size": batch_size, "epochs": epochs,
    }  # fmt: skip


def groups_of_points(rows: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    """Classes that are each two clouds in eight dimensions."""
    centres = 1.6 * torch.randn(classes, 2, 8, generator=seeded(50))
    generator = seeded(seed)
    kind, cloud = torch.randint(classes, (rows,), generator=generator), torch.randint(2, (rows,), generator=generator)
    return centres[kind, cloud] + torch.randn(rows, 8, generator=generator), kind


def classification(rows: int = 2_000, classes: int = 5, batch_size: int = 32, epochs: int = 15) -> dict[str, Any]:
    return {
        "train": groups_of_points(rows, classes, 3), "valid": groups_of_points(600, classes, 4), "metric": "accuracy",
        "batch_size": batch_size, "epochs": epochs,
    }  # fmt: skip


def yes_or_no(rows: int = 2_000, batch_size: int = 32, epochs: int = 15, flat: bool = False) -> dict[str, Any]:
    """Whether the response lies above its mean, as floats of shape (N, 1) or (N,)."""
    splits = {}
    for name, count, seed in (("train", rows, 5), ("valid", 600, 6)):
        inputs, value = response(count, seed)
        answer = (value > 0).float()
        splits[name] = (inputs, answer.squeeze(1) if flat else answer)
    return {**splits, "metric": "accuracy", "batch_size": batch_size, "epochs": epochs}


@functools.cache
def _pictures(split: str, every: int) -> tuple[Tensor, Tensor]:
    with np.load(CLOTHES) as arrays:
        pixels, labels = torch.from_numpy(arrays[f"x_{split}"][::every]), torch.from_numpy(arrays[f"y_{split}"][::every])
    return (functional.avg_pool2d(pixels.float().unsqueeze(1) / 255, 2) - 0.286) / 0.32, labels.long()


def clothes(every: int = 1, batch_size: int = 50, epochs: int = 8) -> dict[str, Any]:
    """Photographs of clothes, 14 x 14 pixels, standardised, ten kinds."""
    return {
        "train": _pictures("train", every), "valid": _pictures("test", 2), "metric": "accuracy", "batch_size": batch_size, "epochs": epochs,
    }  # fmt: skip


def waves(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy oscillations over 30 moments; which of four rhythms?"""
    generator = seeded(seed)
    rhythm = torch.randint(4, (rows,), generator=generator)
    pace = torch.tensor([0.35, 0.6, 0.95, 1.4])[rhythm].unsqueeze(1)
    phase = 6.28 * torch.rand(rows, 1, generator=generator)
    signal = (pace * torch.arange(30) + phase).sin() + 0.4 * torch.randn(rows, 30, generator=generator)
    return signal.unsqueeze(2), rhythm


def rhythms(rows: int = 1_500, batch_size: int = 32, epochs: int = 8) -> dict[str, Any]:
    return {"train": waves(rows, 7), "valid": waves(500, 8), "metric": "accuracy", "batch_size": batch_size, "epochs": epochs}


def mlp(inputs: int, outputs: int, *last: nn.Module, width: int = 64, activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), activation(), nn.Linear(width, width), activation(), nn.Linear(width, outputs), *last
    )  # fmt: skip


def convolutions(*between: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), *between, nn.Linear(24 * 9, 10),
    )  # fmt: skip


def adam(lr: float = 2e-3, **settings: Any) -> Any:
    return lambda model: torch.optim.Adam(model.parameters(), lr=lr, **settings)


def sgd(lr: float = 0.02, **settings: Any) -> Any:
    return lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, **settings)
