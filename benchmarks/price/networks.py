"""The networks that the tasks of the records bring: kinds that the doors' default models leave out."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Two convolutions with batch norm and a linear head, for small images (N, C, H, W) of bytes."""

    def __init__(self, channels: int, classes: int, width: int = 12) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(2 * width * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.head(self.body(images.float() / 127.5 - 1))
        return output


class CharTransformer(nn.Module):
    """A small transformer over codes (N, length); `each` gives logits (N, symbols, length) for the next code, else (N, outputs) a text."""

    def __init__(self, symbols: int, outputs: int, length: int, each: bool, width: int = 32, layers: int = 1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.place = nn.Parameter(torch.randn(length, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, outputs)
        self.each = each

    def forward(self, codes: Tensor) -> Tensor:
        codes = codes[:, : len(self.place)]
        length = codes.shape[1]
        x = self.embedding(codes) + self.place[:length]
        if self.each:
            mask = nn.Transformer.generate_square_subsequent_mask(length, device=x.device)
            output: Tensor = self.head(self.body(x, mask=mask, is_causal=True)).transpose(1, 2)
            return output
        there = codes != 0
        x = self.body(x, src_key_padding_mask=~there)
        pooled: Tensor = self.head((x * there.unsqueeze(2)).sum(1) / there.sum(1, keepdim=True).clamp(min=1))
        return pooled


class CharLSTM(nn.Module):
    """An LSTM that predicts each next code; logits (N, symbols, length)."""

    def __init__(self, symbols: int, width: int = 32, hidden: int = 64) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, codes: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(codes))
        output: Tensor = self.head(states).transpose(1, 2)
        return output


class NameGRU(nn.Module):
    """A GRU over the characters of a name, zero padded at the end; logits (N, outputs) from the mean of its states."""

    def __init__(self, symbols: int, outputs: int, width: int = 24, hidden: int = 48) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width, padding_idx=0)
        self.gru = nn.GRU(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, codes: Tensor) -> Tensor:
        there = (codes != 0).unsqueeze(2)
        states, _ = self.gru(self.embedding(codes))
        output: Tensor = self.head((states * there).sum(1) / there.sum(1).clamp(min=1))
        return output


class SeriesGRU(nn.Module):
    """A GRU over a window (N, lookback, series), relative to its last value; forecasts (N, horizon, series), or (N, horizon) of one."""

    def __init__(self, series: int, horizon: int, hidden: int = 32) -> None:
        super().__init__()
        self.gru = nn.GRU(series, hidden, batch_first=True)
        self.head = nn.Linear(hidden, horizon * series)
        self.shape = (horizon, series)

    def forward(self, windows: Tensor) -> Tensor:
        last = windows[:, -1:]
        states, _ = self.gru(windows - last)
        ahead: Tensor = self.head(states[:, -1]).unflatten(1, self.shape) + last
        return ahead.squeeze(2) if self.shape[1] == 1 else ahead


class PixelMLP(nn.Module):
    """Two wide layers over the pixels of small images (N, C, H, W) of bytes, without normalisation."""

    def __init__(self, pixels: int, classes: int, width: int = 256) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(pixels, width), nn.ReLU(), nn.Linear(width, width // 2), nn.ReLU())
        self.head = nn.Linear(width // 2, classes)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.head(self.body(images.float() / 127.5 - 1))
        return output


class PatchTransformer(nn.Module):
    """A small vision transformer (Dosovitskiy et al., arXiv:2010.11929): patches of small images (N, C, H, W) of bytes, their mean read."""

    def __init__(self, channels: int, classes: int, side: int, patch: int = 4, width: int = 48, layers: int = 2) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.place = nn.Parameter(torch.randn((side // patch) ** 2, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images.float() / 127.5 - 1).flatten(2).transpose(1, 2) + self.place
        output: Tensor = self.head(self.body(x).mean(1))
        return output


class CountCNN(nn.Module):
    """Three convolutions with batch norm whose mean over positions gives one number an image (N, C, H, W) of bytes: the log of a count."""

    def __init__(self, channels: int, width: int = 12) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((channels, width), (width, 2 * width), (2 * width, 2 * width)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(2 * width, 1)

    def forward(self, images: Tensor) -> Tensor:
        output: Tensor = self.head(self.body(images.float() / 127.5 - 1).mean((2, 3)))
        return output.squeeze(1)


class NormedMLP(nn.Module):
    """The network of a table's door with a wide layer and batch norm before its outputs."""

    def __init__(self, inner: nn.Module, width: int) -> None:
        super().__init__()
        last, head = [(name, module) for name, module in inner.named_modules() if isinstance(module, nn.Linear)][-1]
        wide = nn.Sequential(nn.Linear(head.in_features, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, head.out_features))
        inner.set_submodule(last, wide)
        self.inner = inner

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tensor:
        output: Tensor = self.inner(*inputs, **named)
        return output


class TextCNN(nn.Module):
    """Convolutions of three widths over the first words of a text (N, length) and their maxima (Kim, arXiv:1408.5882), with batch norm."""

    def __init__(self, tokens: int, outputs: int, width: int = 32, channels: int = 32, words: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width, padding_idx=0)
        self.filters = nn.ModuleList(
            nn.Sequential(nn.Conv1d(width, channels, size, padding=size // 2), nn.BatchNorm1d(channels), nn.ReLU()) for size in (1, 3, 5)
        )
        self.head = nn.Linear(3 * channels, outputs)
        self.single = outputs == 1
        self.words = words

    def forward(self, codes: Tensor) -> Tensor:
        x = self.embedding(codes[:, : self.words]).transpose(1, 2)
        output: Tensor = self.head(torch.cat([layer(x).amax(2) for layer in self.filters], dim=1))
        return output.squeeze(1) if self.single else output


class CharConv(nn.Module):
    """Causal convolutions with growing strides of memory that predict each next code; logits (N, symbols, length)."""

    def __init__(self, symbols: int, width: int = 64, layers: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 2, dilation=2**k) for k in range(layers))
        self.head = nn.Conv1d(width, symbols, 1)

    def forward(self, codes: Tensor) -> Tensor:
        x = self.embedding(codes).transpose(1, 2)
        for k, layer in enumerate(self.layers):
            x = x + torch.relu(layer(nn.functional.pad(x, (2**k, 0))))
        output: Tensor = self.head(x)
        return output


class WordRNN(nn.Module):
    """A GRU or LSTM over the first words of a text (N, length), zero padded at the end; (N, outputs) from the mean of its states."""

    def __init__(
        self, kind: type[nn.GRU] | type[nn.LSTM], tokens: int, outputs: int, width: int = 32, hidden: int = 48, words: int | None = None
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width, padding_idx=0)
        self.words = words
        self.rnn = kind(width, hidden, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def forward(self, codes: Tensor) -> Tensor:
        codes = codes[:, : self.words]
        there = (codes != 0).unsqueeze(2)
        states, _ = self.rnn(self.embedding(codes))
        output: Tensor = self.head((states * there).sum(1) / there.sum(1).clamp(min=1))
        return output


class SeriesLSTM(nn.Module):
    """An LSTM over a window (N, lookback, columns) whose first column is forecast from its last value: (N, horizon)."""

    def __init__(self, columns: int, horizon: int, hidden: int = 48) -> None:
        super().__init__()
        self.lstm = nn.LSTM(columns, hidden, batch_first=True)
        self.head = nn.Linear(hidden, horizon)

    def forward(self, windows: Tensor) -> Tensor:
        states, _ = self.lstm(windows)
        ahead: Tensor = self.head(states[:, -1]) + windows[:, -1, :1]
        return ahead
