"""Models of the second set: a residual MLP, convolutions in one and two dimensions, recurrent layers, attention, words."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Blocks x + f(norm(x)) between two linear layers."""

    def __init__(self, columns: int, outputs: int, width: int = 32, blocks: int = 2) -> None:
        super().__init__()
        self.inner = nn.Linear(columns, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)) for _ in range(blocks)
        )
        self.outer = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        for block in self.blocks:
            x = x + block(x)
        return self.outer(x)


def tanh_net(columns: int, outputs: int, width: int = 32) -> nn.Sequential:
    return nn.Sequential(nn.Linear(columns, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, outputs))


def pictures(*last: nn.Module, outputs: int = 4, norm: bool = False, activation: Any = nn.ReLU) -> nn.Sequential:
    """Two convolutions, a mean over the picture's quarters, a linear layer."""

    def block(a: int, b: int) -> list[nn.Module]:
        return [nn.Conv2d(a, b, 3, padding=1), *([nn.BatchNorm2d(b)] if norm else []), activation(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(1, 8), *block(8, 16), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, outputs), *last)


def masks(*last: nn.Module) -> nn.Sequential:
    layers = [nn.Conv2d(1, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 12, 5, padding=2), nn.ReLU(), nn.Conv2d(12, 1, 1)]
    return nn.Sequential(*layers, *last)


class Recurrent(nn.Module):
    """The last state of a GRU or LSTM, through a linear layer."""

    def __init__(self, outputs: int = 1, kind: Any = nn.GRU, width: int = 24, **more: Any) -> None:
        super().__init__()
        self.cells = kind(2, width, batch_first=True, **more)
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cells(x)[0][:, -1])


def waves(outputs: int = 1) -> nn.Sequential:
    """Convolutions over (N, T, 2)."""

    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.transpose(1, 2)

    layers = [Turned(), nn.Conv1d(2, 16, 5, padding=2), nn.SiLU(), nn.Conv1d(16, 16, 5, padding=2, stride=2), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(3), nn.Flatten(), nn.Linear(48, outputs))


class Words(nn.Module):
    """The mean of embedded words, through two linear layers."""

    def __init__(self, outputs: int = 2, words: int = 60, width: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.body = nn.Sequential(nn.Linear(width, 24), nn.ReLU(), nn.Linear(24, outputs))

    def forward(self, words: Tensor) -> Tensor:
        return self.body(self.embedding(words).mean(dim=1))


class Attending(nn.Module):
    """A transformer encoder of one layer, a tag for every word."""

    def __init__(self, outputs: int = 6, words: int = 12, width: int = 24, **more: Any) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.places = nn.Parameter(0.3 * torch.randn(14, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 48, dropout=0.0, **{"batch_first": True, **more})
        self.out = nn.Linear(width, outputs)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.layer(self.embedding(words) + self.places))


class Tagging(nn.Module):
    """A GRU over both directions, a tag for every word."""

    def __init__(self, outputs: int = 6) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 12)
        self.cells = nn.GRU(12, 16, batch_first=True, bidirectional=True)
        self.out = nn.Linear(32, outputs)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.cells(self.embedding(words))[0])


def adam(lr: float = 3e-3, kind: Any = torch.optim.Adam, **more: Any) -> Any:
    return lambda model: kind(model.parameters(), lr=lr, **more)


def sgd(lr: float = 0.05, momentum: float = 0.9, **more: Any) -> Any:
    return lambda model: torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum, **more)
