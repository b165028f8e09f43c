"""Small seeded tasks, as keywords of `Problem`, that a model of the fitting kind learns in a second or two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _spirals(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    arm = torch.randint(0, 3, (rows,), generator=generator)
    way = 0.2 + 0.8 * torch.rand(rows, generator=generator)
    angle = 4.0 * way + arm * 2.0944 + 0.12 * torch.randn(rows, generator=generator)
    return torch.stack([way * angle.cos(), way * angle.sin()], dim=1) * 2.0, arm


def spirals(rows: int = 900, **more: Any) -> dict[str, Any]:
    """Points of a plane on three arms of a spiral; which arm?"""
    right = {"train": _spirals(rows, 11), "valid": _spirals(300, 12), "metric": "accuracy", "batch_size": 30, "epochs": 20}
    return {**right, "loss": nn.CrossEntropyLoss(), **more}


def _surface(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Friedman's surface: ten uniform columns, of which five count, standardised."""
    generator = seeded(seed)
    x = torch.rand(rows, 10, generator=generator)
    y = 10 * (torch.pi * x[:, 0] * x[:, 1]).sin() + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    y = (y + 0.5 * torch.randn(rows, generator=generator) - 14.4) / 4.9
    return (x - 0.5) / 0.289, y[:, None]


def surface(rows: int = 1000, **more: Any) -> dict[str, Any]:
    right = {"train": _surface(rows, 21), "valid": _surface(400, 22), "metric": "mae", "task": "regression", "batch_size": 50, "epochs": 20}
    return {**right, "loss": nn.SmoothL1Loss(), **more}


def _bars(rows: int, seed: int, kinds: int = 4) -> tuple[Tensor, Tensor]:
    """Pictures (1, 12, 12) of a bar in noise, lying, standing or slanted either way."""
    generator = seeded(seed)
    kind = torch.randint(0, kinds, (rows,), generator=generator)
    shift = torch.randint(-3, 4, (rows, 1, 1), generator=generator)
    down, across = torch.meshgrid(torch.arange(12), torch.arange(12), indexing="ij")
    lines = torch.stack([down - 6, across - 6, down - across, down + across - 11])[kind]
    bar = ((lines - shift).abs() <= 1).float()
    return (bar + 0.6 * torch.randn(rows, 12, 12, generator=generator) - 0.22)[:, None] / 0.73, kind


def bars(rows: int = 800, **more: Any) -> dict[str, Any]:
    right = {"train": _bars(rows, 31), "valid": _bars(300, 32), "metric": "accuracy", "batch_size": 40, "epochs": 8}
    return {**right, "loss": nn.CrossEntropyLoss(), **more}


def _sounds(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Series (24, 2): an oscillation in noise on two channels, and its pace, standardised."""
    generator = seeded(seed)
    pace = torch.rand(rows, 1, generator=generator)
    phase = 6.28 * torch.rand(rows, 1, generator=generator)
    angle = (0.3 + 0.9 * pace) * torch.arange(24)[None] + phase
    x = torch.stack([angle.cos(), angle.sin()], dim=2) * 1.3 + 0.2 * torch.randn(rows, 24, 2, generator=generator)
    return x, (pace - 0.5) / 0.289


def sounds(rows: int = 800, **more: Any) -> dict[str, Any]:
    """How fast is it? A regression over series."""
    right = {"train": _sounds(rows, 41), "valid": _sounds(300, 42), "metric": "rmse", "task": "regression", "batch_size": 32, "epochs": 10}
    return {**right, "loss": nn.MSELoss(), **more}


def pitches(rows: int = 800, **more: Any) -> dict[str, Any]:
    """Slow, middling or fast? A classification over series."""
    splits = {}
    for name, (count, seed) in {"train": (rows, 41), "valid": (300, 42)}.items():
        x, y = _sounds(count, seed)
        splits[name] = (x, (y[:, 0] > -0.6).long() + (y[:, 0] > 0.6).long())
    return {**splits, "metric": "accuracy", "batch_size": 32, "epochs": 10, "loss": nn.CrossEntropyLoss(), **more}


def _sentences(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of 15 of 60 words; words from 1 to 20 speak for yes, from 21 to 40 for no."""
    generator = seeded(seed)
    words = torch.randint(1, 60, (rows, 15), generator=generator)
    votes = ((words <= 20).sum(dim=1) - ((words > 20) & (words <= 40)).sum(dim=1)).float()
    return words, (votes + 0.5 * torch.randn(rows, generator=generator) > 0).long()


def sentences(rows: int = 900, **more: Any) -> dict[str, Any]:
    right = {"train": _sentences(rows, 51), "valid": _sentences(300, 52), "metric": "accuracy", "batch_size": 45, "epochs": 10}
    return {**right, "loss": nn.CrossEntropyLoss(), **more}


def _tags(rows: int, seed: int, length: int = 14, padded: bool = False) -> tuple[Tensor, Tensor]:
    """Rows of words from 1 to 11; the tag of a word, from 1 to 5, depends on it and on the one before."""
    generator = seeded(seed)
    words = torch.randint(1, 12, (rows, length), generator=generator)
    before = torch.nn.functional.pad(words[:, :-1], (1, 0))
    tags = (words + 2 * (before % 2)) % 5 + 1
    if padded:
        gone = torch.arange(length) >= torch.randint(3, length // 2 + 1, (rows, 1), generator=generator)
        words, tags = words.masked_fill(gone, 0), tags.masked_fill(gone, 0)
    return words, tags


def tagged(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (N, T, C) against (N, T)."""
    return nn.functional.cross_entropy(output.transpose(1, 2), target)


def tags(rows: int = 600, padded: bool = False, **more: Any) -> dict[str, Any]:
    splits = {"train": _tags(rows, 61, padded=padded), "valid": _tags(200, 62, padded=padded)}
    return {**splits, "metric": None, "batch_size": 30, "epochs": 12, "loss": tagged, **more}


def _patches(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures (1, 16, 16) with a bright square in noise, and the square as a mask."""
    generator = seeded(seed)
    top, left = torch.randint(0, 11, (2, rows, 1, 1), generator=generator)
    down, across = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    mask = ((down >= top) & (down < top + 5) & (across >= left) & (across < left + 5)).float()[:, None]
    return mask * 1.5 - 0.15 + 0.8 * torch.randn(rows, 1, 16, 16, generator=generator), mask


def patches(rows: int = 300, **more: Any) -> dict[str, Any]:
    right = {"train": _patches(rows, 71), "valid": _patches(100, 72), "metric": None, "task": "binary", "batch_size": 20, "epochs": 8}
    return {**right, "loss": nn.BCEWithLogitsLoss(), **more}


def _topics(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Twelve columns, four labels, each with its own direction."""
    generator = seeded(seed)
    x = torch.randn(rows, 12, generator=generator)
    directions = torch.randn(12, 4, generator=seeded(5)) / 3.46
    return x, (x @ directions + 0.2 * torch.randn(rows, 4, generator=generator) > 0.3).float()


def topics(rows: int = 900, **more: Any) -> dict[str, Any]:
    """Any number of four labels a row."""
    right = {"train": _topics(rows, 81), "valid": _topics(300, 82), "metric": None, "task": "multilabel", "batch_size": 30, "epochs": 12}
    return {**right, "loss": nn.BCEWithLogitsLoss(), **more}
