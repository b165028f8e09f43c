"""The networks of the tasks, each fitted to a problem's data: from a problem to a function that makes the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from networks import (
    CharConv,
    CharLSTM,
    CharTransformer,
    NameGRU,
    NormedMLP,
    PatchTransformer,
    PixelMLP,
    SeriesGRU,
    SeriesLSTM,
    SmallCNN,
    TextCNN,
    WordRNN,
)
from torch import Tensor, nn

from fallline._batches import leaves
from fallline._problem import Problem
from fallline.doors.models.text import TextNet
from fallline.doors.models.unet import SmallUNet

WORDS = 16  # of a text that the slower networks read: three of four of banking's questions end before


def first(part: Any) -> Tensor:
    return next(iter(leaves(part)))


def symbols_of(problem: Problem) -> int:
    return int(max(first(part).max() for part in (problem.train, problem.valid, problem.audit))) + 1


def classes_of(problem: Problem) -> int:
    return int(max(part[1].max() for part in (problem.train, problem.valid, problem.audit))) + 1


def gru_of_names(problem: Problem) -> Callable[[], nn.Module]:
    symbols, classes = symbols_of(problem), classes_of(problem)
    return lambda: NameGRU(symbols, classes)


def transformer_of_text(problem: Problem) -> Callable[[], nn.Module]:
    symbols, length = symbols_of(problem), first(problem.train).shape[1]
    return lambda: CharTransformer(symbols, symbols, length, each=True)


def lstm_of_text(problem: Problem) -> Callable[[], nn.Module]:
    symbols = symbols_of(problem)
    return lambda: CharLSTM(symbols)


def narrow_text(problem: Problem) -> Callable[[], nn.Module]:
    target = problem.train[1]
    outputs = classes_of(problem) if not target.is_floating_point() else target.shape[1] if target.ndim == 2 else 1
    tokens = symbols_of(problem)
    return lambda: TextNet(tokens, outputs, width=32)


def narrow_unet(problem: Problem) -> Callable[[], nn.Module]:
    return lambda: SmallUNet(1, 1, [40.0], [50.0], width=6, depth=2)


def small_cnn(problem: Problem) -> Callable[[], nn.Module]:
    channels, classes = first(problem.train).shape[1], classes_of(problem)
    return lambda: SmallCNN(channels, classes)


def gru_of_series(problem: Problem) -> Callable[[], nn.Module]:
    target = problem.train[1]
    horizon, count = target.shape[1], target.shape[2] if target.ndim == 3 else 1
    return lambda: SeriesGRU(count, horizon)


def wide_with_norm(problem: Problem) -> Callable[[], nn.Module]:
    return lambda: NormedMLP(problem.model(), 256)


def pixel_mlp(problem: Problem) -> Callable[[], nn.Module]:
    pixels, classes = first(problem.train)[0].numel(), classes_of(problem)
    return lambda: PixelMLP(pixels, classes)


def patches(problem: Problem) -> Callable[[], nn.Module]:
    (channels, side, _), classes = first(problem.train).shape[1:], classes_of(problem)
    return lambda: PatchTransformer(channels, classes, side, patch=7)


def transformer_of_classes(problem: Problem) -> Callable[[], nn.Module]:
    symbols, classes, length = symbols_of(problem), classes_of(problem), min(first(problem.train).shape[1], WORDS)
    return lambda: CharTransformer(symbols, classes, length, each=False)


def conv_of_words(problem: Problem) -> Callable[[], nn.Module]:
    tokens = symbols_of(problem)
    return lambda: TextCNN(tokens, 1, words=WORDS)


def conv_of_text(problem: Problem) -> Callable[[], nn.Module]:
    symbols = symbols_of(problem)
    return lambda: CharConv(symbols)


def gru_of_words(problem: Problem) -> Callable[[], nn.Module]:
    tokens, classes = symbols_of(problem), classes_of(problem)
    return lambda: WordRNN(nn.GRU, tokens, classes, words=WORDS)


def lstm_of_words(problem: Problem) -> Callable[[], nn.Module]:
    tokens, outputs = symbols_of(problem), problem.train[1].shape[1]
    return lambda: WordRNN(nn.LSTM, tokens, outputs)


def lstm_of_series(problem: Problem) -> Callable[[], nn.Module]:
    columns, horizon = first(problem.train).shape[2], problem.train[1].shape[1]
    return lambda: SeriesLSTM(columns, horizon)
