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

import numpy as np
import torch
from fitted import (
    conv_of_text,
    conv_of_words,
    first,
    gru_of_names,
    gru_of_series,
    gru_of_words,
    lstm_of_series,
    lstm_of_text,
    lstm_of_words,
    narrow_text,
    narrow_unet,
    patches,
    pixel_mlp,
    small_cnn,
    transformer_of_classes,
    transformer_of_text,
    wide_with_norm,
)
from networks import CountCNN
from torch import Tensor, nn

from fallline._batches import tree_map
from fallline._problem import Problem
from fallline.doors import open_problem


@dataclass(frozen=True)
class Task:
    """One task of the records. `family` is what is held out together when the prior is judged."""

    name: str
    family: str  # table, image, text, recurrent
    metrics: tuple[str, ...]  # the first decides
    open: Callable[[Path], Problem]


def cut(problem: Problem, train: int, valid: int = 1500, audit: int = 4000, *, ordered: bool = False) -> Problem:
    """The problem with at most so many examples a part: spread evenly where they lie in order of time, else drawn."""

    def some(part: Any, rows: int) -> Any:
        size = len(first(part))
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


def table(
    name: str, file: str, target: str, metrics: tuple[str, ...], rows: int, epochs: float, batch: int, make: Any = None, **options: Any
) -> Task:
    def opened(data: Path) -> Problem:
        path = data / "tabular" / f"{file}.csv.gz"
        problem = open_problem(path, target=target, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        problem = cut(problem, rows, max(rows // 5, 400))
        return problem if make is None else replace(problem, model=make(problem))

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
    audit: int = 2000,
    **options: Any,
) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / "text" / file, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        running = file.endswith(".txt")  # a piece of running text is many examples
        problem = cut(problem, rows, 120, 300) if running else cut(problem, rows, max(rows // 5, 800), audit)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, family, metrics, opened)


def images(
    name: str,
    file: str,
    metrics: tuple[str, ...],
    rows: int,
    epochs: float,
    batch: int,
    factor: int,
    make: Any = None,
    audit: int = 3000,
    **options: Any,
) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / file, metric=metrics[0], seed=0, epochs=epochs, batch_size=batch, **options)
        problem = shrunk(cut(problem, rows, max(rows // 5, 200), audit), factor)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, "image", metrics, opened)


def series(name: str, file: str, rows: int, epochs: float, batch: int, make: Any = None, metric: str = "mae", **options: Any) -> Task:
    def opened(data: Path) -> Problem:
        problem = open_problem(data / file, metric=metric, seed=0, epochs=epochs, batch_size=batch, **options)
        problem = cut(problem, rows, 600, 1500, ordered=True)
        return problem if make is None else replace(problem, model=make(problem))

    return Task(name, "recurrent", (metric, "rmse" if metric == "mae" else "mae"), opened)


def nuclei_counts(data: Path) -> Problem:
    """How many nuclei an image shows: images of 32 x 32, and counts that vary by more than their mean."""
    with np.load(data / "segmentation" / "nuclei_fluorescence_128.npz") as held:
        parts = {part: torch.from_numpy(held[f"x_{part}"]) for part in ("train", "test")}
        counts = {part: torch.from_numpy(held[f"count_{part}"]).float() for part in ("train", "test")}
    images = torch.cat([parts["train"], parts["test"]]).unsqueeze(1).float()
    every = nn.functional.avg_pool2d(images, 4).round().to(torch.uint8), torch.cat([counts["train"], counts["test"]])
    order = torch.randperm(len(every[0]), generator=torch.Generator().manual_seed(0))
    train, valid, audit = (tuple(part[rows] for part in every) for rows in order.split([320, 100, len(order) - 420]))
    return Problem(
        model=lambda: CountCNN(1), train=train, valid=valid, audit=audit, metric="poisson_deviance", task="count", epochs=60, batch_size=16
    )  # fmt: skip


ERROR = ("mae", "rmse")
RARE = ("average_precision", "auroc", "log_loss")
CLASSES = ("accuracy", "macro_f1", "log_loss")
COUNT = ("poisson_deviance", "rmse", "mae")
SEVERAL = ("macro_f1", "micro_f1", "log_loss")
NEXT = ("log_loss", "accuracy")
RARER = ("macro_f1", "accuracy", "log_loss")
HOURS: dict[str, Any] = {"time": "date_time", "horizon": 12, "lookback": 36}

TASKS = (
    table("california", "california_housing", "median_house_value", ERROR, 6000, 30, 64),
    table("protein", "protein_casp", "RMSD", ("rmse", "mae"), 12000, 12, 64),
    table("wine", "wine_quality", "quality", ("rmse", "mae"), 3000, 40, 64),
    table("bike", "bike_sharing_hourly", "cnt", COUNT, 8000, 20, 64),
    table("doctors", "rand_doctor_visits", "mdvis", COUNT, 8000, 12, 64),
    table("htru2", "htru2_pulsar", "pulsar", RARE, 8000, 15, 64),
    table("shoppers", "online_shoppers", "Revenue", ("auroc", "average_precision", "log_loss"), 7000, 15, 64),
    table("letter", "letter_recognition", "letter", CLASSES, 8000, 20, 64),
    images("fashion", "images/fashion_mnist.npz", CLASSES, 4000, 8, 32, 2, small_cnn),
    images("trashnet", "images/trashnet_64x48.npz", CLASSES, 2000, 10, 32, 4),
    images("nuclei", "segmentation/nuclei_fluorescence_128.npz", ("iou", "log_loss"), 400, 12, 8, 4, narrow_unet),
    text("banking", "banking77.csv.gz", CLASSES, 4000, 10, 32, narrow_text, target="category"),
    text("emotions", "goemotions.csv.gz", SEVERAL, 6000, 5, 32, narrow_text),
    text("spam", "sms_spam.csv.gz", ("f1", "average_precision", "log_loss"), 3000, 6, 32, narrow_text, target="label"),
    text("shakespeare_transformer", "tinyshakespeare.txt", NEXT, 8000, 1, 16, transformer_of_text),
    text("shakespeare_lstm", "tinyshakespeare.txt", NEXT, 8000, 1, 16, lstm_of_text, "recurrent"),
    text(
        "names_gru",
        "names_nationality.csv.gz",
        ("macro_f1", "accuracy", "log_loss"),
        8000,
        9,
        64,
        gru_of_names,
        "recurrent",
        target="nationality",
    ),
    series("etth1", "series/ETTh1.csv.gz", 4000, 8, 64, gru_of_series, time="date", horizon=24, lookback=48),
    # The tasks added after the first eighteen: data not used before, or other networks; widths and batches vary more.
    table("diamonds", "diamonds", "price", ERROR, 8000, 24, 256),
    table("abalone", "abalone", "rings", ("rmse", "mae"), 2500, 20, 16),
    table("adult", "adult", "income", ("accuracy", "auroc", "log_loss"), 8000, 16, 128, wide_with_norm),
    table("credit", "credit_default", "default", RARE, 6000, 8, 32),
    images("fashion_mlp", "images/fashion_mnist.npz", CLASSES, 6000, 12, 128, 1, pixel_mlp),
    images("fashion_patches", "images/fashion_mnist.npz", CLASSES, 2000, 10, 64, 1, patches, 1000),
    Task("nuclei_counts", "image", COUNT, nuclei_counts),
    text("banking_transformer", "banking77.csv.gz", CLASSES, 2000, 10, 32, transformer_of_classes, audit=1000, target="category"),
    text("spam_cnn", "sms_spam.csv.gz", ("f1", "average_precision", "log_loss"), 3000, 8, 32, conv_of_words, target="label"),
    text(
        "names_transformer",
        "names_nationality.csv.gz",
        ("macro_f1", "accuracy", "log_loss"),
        4000,
        10,
        64,
        transformer_of_classes,
        audit=1500,
        target="nationality",
    ),
    text("shakespeare_conv", "tinyshakespeare.txt", NEXT, 3000, 1, 8, conv_of_text),
    text("banking_gru", "banking77.csv.gz", CLASSES, 2000, 12, 32, gru_of_words, "recurrent", 1000, target="category"),
    text("emotions_lstm", "goemotions.csv.gz", ("log_loss", "macro_f1", "micro_f1"), 5000, 4, 32, lstm_of_words, "recurrent"),
    series(
        "metro",
        "series/metro_traffic_hourly.csv.gz",
        5000,
        6,
        64,
        lstm_of_series,
        time="date_time",
        target="traffic_volume",
        horizon=12,
        lookback=36,
    ),
    series("co2", "series/mauna_loa_co2_weekly.csv.gz", 1600, 10, 32, gru_of_series, time="date", horizon=8, lookback=52),
)
