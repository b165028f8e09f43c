"""The tasks of the records: data, model, metric and length, each a plain training of some seconds on one core.

Tables, images, texts, series and sequences of the development data come through their doors; where a default model would leave a kind of
network out (batch norm, LSTM, transformer), the task brings its own. Rows are cut so that one training stays short and audit stays large.
The metric of a task is fixed here, before any training: what the data's README names first or what the kind of task is judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fallline._batches import leaves, tree_map
from fallline._problem import Problem
from fallline.doors import open_problem
from fallline.doors.models.text import TextNet
from fallline.doors.models.unet import SmallUNet


@dataclass(frozen=True)
class Task:
    """One task of the records. `family` is what is held out together when the prior is judged."""

    name: str
    family: str  # table, image, text, recurrent
    metrics: tuple[str, ...]  # the first decides
    open: Callable[[Path], Problem]


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


def cut(problem: Problem, train: int, valid: int = 1500, audit: int = 4000, *, ordered: bool = False) -> Problem:
    """The problem with at most so many examples a part: spread evenly where they lie in order of time, else drawn."""

    def some(part: Any, rows: int) -> Any:
        size = len(_first(part))
        if size <= rows:
            return part
        chosen = (
            torch.linspace(0, size - 1, rows).long() if ordered else torch.randperm(size, generator=torch.Generator().manual_seed(0))[:rows]
        )
        return tree_map(lambda leaf: leaf[chosen], part)

    origin = replace(problem.origin, train_groups=None, valid_groups=None, audit_groups=None)
    parts = {"train": some(problem.train, train), "valid": some(problem.valid, valid), "audit": some(problem.audit, audit)}
    return replace(problem, **parts, origin=origin)


def shrunk(problem: Problem, factor: int) -> Problem:
    """Images (N, C, H, W), and their masks, averaged over squares of factor x factor pixels."""

    def smaller(leaf: Tensor) -> Tensor:
        if leaf.ndim == 4:
            return nn.functional.avg_pool2d(leaf.float(), factor).round().to(leaf.dtype)
        return leaf[..., ::factor, ::factor].contiguous() if leaf.ndim == 3 else leaf

    return replace(problem, **{part: tree_map(smaller, getattr(problem, part)) for part in ("train", "valid", "audit")})


def table(name: str, file: str, target: str, metrics: tuple[str, ...], rows: int, epochs: float, batch: int, **options: Any) -> Task:
    def opened(data: Path) -> Problem:
        path = data / "tabular" / f"{file}.csv.gz"
        problem = open_problem(path, target=target, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        return cut(problem, rows, max(rows // 5, 400))

    return Task(name, "table", metrics, opened)


def text(
    name: str,
    file: str,
    metrics: tuple[str, ...],
    rows: int,
    epochs: float,
    batch: int,
    make: Any = None,
    family: str = "text",
    **options: Any,
) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / "text" / file, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        running = file.endswith(".txt")  # a piece of running text is many examples
        problem = cut(problem, rows, 120, 300) if running else cut(problem, rows, max(rows // 5, 800), 2000)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, family, metrics, opened)


def images(
    name: str, file: str, metrics: tuple[str, ...], rows: int, epochs: float, batch: int, factor: int, make: Any = None, **options: Any
) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / file, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        problem = shrunk(cut(problem, rows, max(rows // 5, 200), 3000), factor)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, "image", metrics, opened)


def series(name: str, file: str, rows: int, epochs: float, batch: int, make: Any = None, metric: str = "mae", **options: Any) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / file, metric=metric, seed=0, epochs=epochs, batch_size=batch, **options)
        problem = cut(problem, rows, 600, 1500, ordered=True)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, "recurrent", (metric, "rmse" if metric == "mae" else "mae"), opened)


def _first(part: Any) -> Tensor:
    return next(iter(leaves(part)))


def _symbols(problem: Problem) -> int:
    return int(max(_first(part).max() for part in (problem.train, problem.valid, problem.audit))) + 1


def _classes(problem: Problem) -> int:
    return int(max(part[1].max() for part in (problem.train, problem.valid, problem.audit))) + 1


def _gru_of_names(problem: Problem) -> Callable[[], nn.Module]:
    symbols, classes = _symbols(problem), _classes(problem)
    return lambda: NameGRU(symbols, classes)


def _transformer_of_text(problem: Problem) -> Callable[[], nn.Module]:
    symbols, length = _symbols(problem), _first(problem.train).shape[1]
    return lambda: CharTransformer(symbols, symbols, length, each=True)


def _lstm_of_text(problem: Problem) -> Callable[[], nn.Module]:
    symbols = _symbols(problem)
    return lambda: CharLSTM(symbols)


def _narrow_text(problem: Problem) -> Callable[[], nn.Module]:
    target = problem.train[1]
    outputs = _classes(problem) if not target.is_floating_point() else target.shape[1] if target.ndim == 2 else 1
    tokens = _symbols(problem)
    return lambda: TextNet(tokens, outputs, width=32)


def _narrow_unet(problem: Problem) -> Callable[[], nn.Module]:
    return lambda: SmallUNet(1, 1, [40.0], [50.0], width=6, depth=2)


def _small_cnn(problem: Problem) -> Callable[[], nn.Module]:
    channels, classes = _first(problem.train).shape[1], _classes(problem)
    return lambda: SmallCNN(channels, classes)


def _gru_of_series(problem: Problem) -> Callable[[], nn.Module]:
    target = problem.train[1]
    horizon, count = target.shape[1], target.shape[2] if target.ndim == 3 else 1
    return lambda: SeriesGRU(count, horizon)


ERROR = ("mae", "rmse")
RARE = ("average_precision", "auroc", "log_loss")
CLASSES = ("accuracy", "macro_f1", "log_loss")
COUNT = ("poisson_deviance", "rmse", "mae")
SEVERAL = ("macro_f1", "micro_f1", "log_loss")
NEXT = ("log_loss", "accuracy")

TASKS = (
    table("california", "california_housing", "median_house_value", ERROR, 6000, 30, 64),
    table("protein", "protein_casp", "RMSD", ("rmse", "mae"), 12000, 12, 64),
    table("wine", "wine_quality", "quality", ("rmse", "mae"), 3000, 40, 64),
    table("bike", "bike_sharing_hourly", "cnt", COUNT, 8000, 20, 64),
    table("doctors", "rand_doctor_visits", "mdvis", COUNT, 8000, 12, 64),
    table("htru2", "htru2_pulsar", "pulsar", RARE, 8000, 15, 64),
    table("shoppers", "online_shoppers", "Revenue", ("auroc", "average_precision", "log_loss"), 7000, 15, 64),
    table("letter", "letter_recognition", "letter", CLASSES, 8000, 20, 64),
    images("fashion", "images/fashion_mnist.npz", CLASSES, 4000, 8, 32, 2, _small_cnn),
    images("trashnet", "images/trashnet_64x48.npz", CLASSES, 2000, 10, 32, 4),
    images("nuclei", "segmentation/nuclei_fluorescence_128.npz", ("iou", "log_loss"), 400, 12, 8, 4, _narrow_unet),
    text("banking", "banking77.csv.gz", CLASSES, 4000, 10, 32, _narrow_text, target="category"),
    text("emotions", "goemotions.csv.gz", SEVERAL, 6000, 5, 32, _narrow_text),
    text("spam", "sms_spam.csv.gz", ("f1", "average_precision", "log_loss"), 3000, 6, 32, _narrow_text, target="label"),
    text("shakespeare_transformer", "tinyshakespeare.txt", NEXT, 8000, 1, 16, _transformer_of_text),
    text("shakespeare_lstm", "tinyshakespeare.txt", NEXT, 8000, 1, 16, _lstm_of_text, "recurrent"),
    text(
        "names_gru",
        "names_nationality.csv.gz",
        ("macro_f1", "accuracy", "log_loss"),
        8000,
        9,
        64,
        _gru_of_names,
        "recurrent",
        target="nationality",
    ),
    series("etth1", "series/ETTh1.csv.gz", 4000, 8, 64, _gru_of_series, time="date", horizon=24, lookback=48),
)
