"""The tutorial's RNN with cross-entropy: from the characters of a family name to its nationality, with SGD and momentum as the baseline."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl
import torch
from torch import Tensor, nn

import fallline

DATA = Path(__file__).resolve().parent.parent / "data" / "names_nationality.csv.gz"
ALPHABET = "abcdefghijklmnopqrstuvwxyz '-"  # 0 is the padding, the last code anything else
CODES = {letter: code for code, letter in enumerate(ALPHABET, start=1)}
OTHER = len(CODES) + 1


class NameRNN(nn.Module):
    """Reads a name letter by letter; its last state says the nationality."""

    def __init__(self, classes: int, hidden: int = 128) -> None:
        super().__init__()
        self.letters = nn.Embedding(OTHER + 1, 32, padding_idx=0)
        self.rnn = nn.RNN(32, hidden, batch_first=True)
        self.out = nn.Linear(hidden, classes)

    def forward(self, codes: Tensor, length: Tensor) -> Tensor:
        states, _ = self.rnn(self.letters(codes))
        last = states[torch.arange(len(codes), device=codes.device), length - 1]  # what follows a name's end is padding
        return self.out(last)


def plain(name: str) -> str:
    """Lower case without accents, as the tutorial reads names: Ślusàrski -> slusarski."""
    decomposed = unicodedata.normalize("NFD", name.lower())
    return "".join(letter for letter in decomposed if unicodedata.category(letter) != "Mn")


def problem() -> fallline.Problem:
    table = pl.read_csv(DATA)
    names = [plain(name) for name in table["name"]]
    nationalities = sorted(set(table["nationality"]))
    codes = torch.zeros(len(names), max(map(len, names)), dtype=torch.long)
    for row, name in enumerate(names):
        codes[row, : len(name)] = torch.tensor([CODES.get(letter, OTHER) for letter in name])
    length = torch.tensor([len(name) for name in names])
    target = torch.tensor([nationalities.index(nationality) for nationality in table["nationality"]])
    return fallline.Problem(
        model=lambda: NameRNN(len(nationalities)),
        train=((codes, length), target),  # two inputs: the model is called as model(codes, length)
        metric="macro_f1",  # half of the names are Russian: accuracy would hardly notice the other 17 nationalities
        batch_size=64,
        epochs=8,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9),
    )
