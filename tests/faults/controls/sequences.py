"""Controls over sequences and embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import fallline
from faults.controls import control
from faults.controls.data import adam, rhythms, seeded

WORDS, LENGTH, PADDING = 20, 14, 0


@control("M03", reaches=0.88)
def forget_gates_that_start_open() -> fallline.Problem:
    """A constant initial value, 1 for the forget gates' bias, is advice from Jozefowicz et al. (2015)."""

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(1, 32, batch_first=True), nn.Linear(32, 4)
            for bias in (self.lstm.bias_ih_l0, self.lstm.bias_hh_l0):
                nn.init.zeros_(bias)
            nn.init.ones_(self.lstm.bias_ih_l0.data[32:64])

        def forward(self, signal: Tensor) -> Tensor:
            return self.head(self.lstm(signal)[0].mean(1))

    return fallline.Problem(**rhythms(), model=Reader, loss=nn.CrossEntropyLoss(), optimizer=adam(5e-3))


@control("L05", reaches=0.88)
def attention_over_moments() -> fallline.Problem:
    """A softmax over time: each output depends on all moments of its own example, and on no other example."""

    class Attentive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.look = nn.Conv1d(1, 32, 9, padding=4)
            self.weight, self.head = nn.Linear(32, 1), nn.Linear(32, 4)

        def forward(self, signal: Tensor) -> Tensor:
            seen = self.look(signal.transpose(1, 2)).relu().transpose(1, 2)
            return self.head((self.weight(seen).softmax(dim=1) * seen).sum(1))

    return fallline.Problem(**rhythms(), model=Attentive, loss=nn.CrossEntropyLoss(), optimizer=adam(3e-3))


def tagged(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Words of 1 to 19, and a tag a word that depends on it and the one before; ends of sentences are padded."""
    generator = seeded(seed)
    words = torch.randint(1, WORDS, (rows, LENGTH), generator=generator)
    before = torch.cat([torch.ones(rows, 1, dtype=torch.long), words[:, :-1]], dim=1)
    tags = (words + before) % 3
    beyond = torch.arange(LENGTH) >= torch.randint(4, LENGTH + 1, (rows, 1), generator=generator)
    return words.masked_fill(beyond, PADDING), tags.masked_fill(beyond, -100)


@control("L14", reaches=0.9)
def padding_left_out_of_the_loss() -> fallline.Problem:
    """A third of the positions is padding, with targets that the loss passes over; classes stand on axis 1."""

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(WORDS, 24, padding_idx=PADDING)
            self.gru, self.tags = nn.GRU(24, 48, batch_first=True), nn.Linear(48, 3)

        def forward(self, words: Tensor) -> Tensor:
            return self.tags(self.gru(self.words(words))[0]).transpose(1, 2)

    return fallline.Problem(
        model=Tagger,
        train=tagged(1_200, 61), valid=tagged(400, 62), metric="accuracy", ignore_index=-100, batch_size=32, epochs=12,
        loss=nn.CrossEntropyLoss(ignore_index=-100), optimizer=adam(5e-3),
    )  # fmt: skip


@control("L07", reaches=0.9)
def scores_flattened_after_a_permutation() -> fallline.Problem:
    """reshape(-1, classes) is right where the class axis stands last."""

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(WORDS, 24, padding_idx=PADDING)
            self.near = nn.Conv1d(24, 48, 3, padding=1)
            self.tags = nn.Conv1d(48, 3, 1)

        def forward(self, words: Tensor) -> Tensor:
            return self.tags(self.near(self.words(words).transpose(1, 2)).relu())

    def flattened(scores: Tensor, tags: Tensor) -> Tensor:
        return nn.functional.cross_entropy(scores.permute(0, 2, 1).reshape(-1, 3), tags.reshape(-1), ignore_index=-100)

    return fallline.Problem(
        model=Tagger,
        train=tagged(1_200, 61), valid=tagged(400, 62), metric="accuracy", ignore_index=-100, batch_size=32, epochs=15,
        loss=flattened, optimizer=adam(5e-3),
    )  # fmt: skip


@control("L14", reaches=0.9)
def sentences_packed_to_their_length() -> fallline.Problem:
    """Two inputs, words and lengths; a GRU reads packed sequences, so padding never enters it."""

    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.gru, self.head = nn.Embedding(WORDS, 16), nn.GRU(16, 32, batch_first=True), nn.Linear(32, 2)

        def forward(self, words: Tensor, length: Tensor) -> Tensor:
            packed = pack_padded_sequence(self.words(words), length.cpu(), batch_first=True, enforce_sorted=False)
            return self.head(self.gru(packed)[1][-1])

    def sentences(rows: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        words, tags = tagged(rows, seed)
        kept = tags != -100
        low = ((words <= 6) & kept).sum(1) * 3
        return (words, kept.sum(1)), (low > kept.sum(1)).long()

    return fallline.Problem(
        model=Counter,
        train=sentences(1_500, 63), valid=sentences(500, 64), metric="accuracy", batch_size=32, epochs=12,
        loss=nn.CrossEntropyLoss(), optimizer=adam(5e-3),
    )  # fmt: skip


@control("M02", reaches=0.75)
def tied_embedding_and_output() -> fallline.Problem:
    """One matrix serves as embedding and as output layer; parameters() lists it once."""

    class Next(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.gru = nn.Embedding(WORDS, 32), nn.GRU(32, 32, batch_first=True)
            self.out = nn.Linear(32, WORDS)
            self.out.weight = self.words.weight

        def forward(self, words: Tensor) -> Tensor:
            return self.out(self.gru(self.words(words))[0][:, -1])

    def chains(rows: int, seed: int) -> tuple[Tensor, Tensor]:
        """Each word follows from the one before by a fixed table, with a tenth of surprises."""
        follows = torch.randperm(WORDS, generator=seeded(65))
        generator = seeded(seed)
        words = [torch.randint(WORDS, (rows,), generator=generator)]
        for _ in range(8):
            surprise = torch.rand(rows, generator=generator) < 0.1
            words.append(torch.where(surprise, torch.randint(WORDS, (rows,), generator=generator), follows[words[-1]]))
        return torch.stack(words[:-1], dim=1), words[-1]

    return fallline.Problem(
        model=Next,
        train=chains(1_500, 66), valid=chains(500, 67), metric="accuracy", batch_size=32, epochs=8,
        loss=nn.CrossEntropyLoss(), optimizer=adam(5e-3),
    )  # fmt: skip


@control("O07", reaches=0.4)
def tastes_as_embeddings() -> fallline.Problem:
    """Ratings from the product of two embeddings plus two biases; whole-number inputs, no activation at all."""

    class Tastes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.reader, self.book = nn.Embedding(50, 8), nn.Embedding(40, 8)
            self.reader_bias, self.book_bias = nn.Embedding(50, 1), nn.Embedding(40, 1)
            for table in (self.reader, self.book, self.reader_bias, self.book_bias):
                nn.init.normal_(table.weight, std=0.3)

        def forward(self, reader: Tensor, book: Tensor) -> Tensor:
            return (self.reader(reader) * self.book(book)).sum(1, keepdim=True) + self.reader_bias(reader) + self.book_bias(book)

    tastes, books = torch.randn(50, 2, generator=seeded(68)), torch.randn(40, 2, generator=seeded(69))

    def ratings(rows: int, seed: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        generator = seeded(seed)
        reader, book = torch.randint(50, (rows,), generator=generator), torch.randint(40, (rows,), generator=generator)
        liking = 0.6 * (tastes[reader] * books[book]).sum(1, keepdim=True)
        return (reader, book), liking + 0.2 * torch.randn(rows, 1, generator=generator)

    return fallline.Problem(
        model=Tastes,
        train=ratings(1_500, 70), valid=ratings(400, 71), metric="rmse", batch_size=32, epochs=25,
        loss=nn.MSELoss(), optimizer=adam(5e-3),
    )  # fmt: skip


@control("S13", reaches=0.35)
def series_read_in_its_order() -> fallline.Problem:
    """Windows of a seasonal series, not shuffled: the order is time, and successive batches are alike on purpose."""
    moment = torch.arange(1_640)
    series = (moment / 6).sin() + 0.5 * (moment / 15).cos() + 0.2 * torch.randn(1_640, generator=seeded(72))
    seen, ahead = series[:-1].unfold(0, 24, 1), series[24:].unsqueeze(1)
    return fallline.Problem(
        model=lambda: nn.Sequential(nn.Linear(24, 32), nn.Tanh(), nn.Linear(32, 1)),
        train=(seen[:1_200], ahead[:1_200]),
        valid=(seen[1_224:], ahead[1_224:]),
        metric="rmse",
        batch_size=16,
        epochs=15,
        shuffle=False,
        loss=nn.MSELoss(),
        optimizer=adam(1e-3),
    )
