"""Faults of the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from fallline import Problem
from faults_more import faulty
from faults_more.networks import Recurrent, Residual, adam, pictures, sgd, tanh_net, waves
from faults_more.tasks import bars, pitches, seeded, sounds, spirals, surface


@faulty("D01")
def bytes_as_they_come() -> Problem:
    """Pixels from 0 to 255 under SGD with momentum."""
    made = bars()
    raw = {split: (((made[split][0] + 3) * 40).clamp(0, 255), made[split][1]) for split in ("train", "valid")}
    return Problem(model=pictures, optimizer=sgd(0.02), **{**made, **raw})


@faulty("D01")
def pressures_beside_shares() -> Problem:
    """Columns in pascal beside shares, Adam."""
    made = surface()
    scale = torch.tensor([1e5, 1.0, 1e-3, 1.0, 1e-3, 1.0, 300.0, 1.0, 1.0, 1.0])
    raw = {split: (made[split][0] * scale, made[split][1]) for split in ("train", "valid")}
    return Problem(model=lambda: tanh_net(10, 1), optimizer=adam(), **{**made, **raw})


@faulty("D02")
def prices_in_full() -> Problem:
    """Targets of some 300,000 under Adam and a recurrent model."""
    made = sounds()
    raw = {split: (made[split][0], made[split][1] * 8e4 + 3e5) for split in ("train", "valid")}
    return Problem(model=lambda: Recurrent(1), optimizer=adam(), **{**made, **raw})


@faulty("D03")
def a_gap_in_a_series() -> Problem:
    """Three NaN in the series."""
    made = pitches()
    x = made["train"][0].clone()
    x[5, 3, 0] = x[77, 1, 1] = x[200, 20, 0] = float("nan")
    return Problem(model=lambda: waves(3), optimizer=adam(), **{**made, "train": (x, made["train"][1])})


@faulty("D04")
def one_in_forty() -> Problem:
    """One picture in forty is of the other kind, under a plain loss."""
    made = bars(rows=3200, epochs=2)
    rare: dict[str, Any] = {}
    for split in ("train", "valid"):
        x, kind = made[split]
        keep = (kind != 3) | (torch.rand(len(kind), generator=seeded(4)) < 0.08)
        rare[split] = (x[keep] * 0.6, (kind[keep] == 3).float()[:, None])
    made |= rare | {"loss": nn.BCEWithLogitsLoss(), "task": "binary"}
    return Problem(model=lambda: pictures(outputs=1), optimizer=sgd(0.01), **made)


@faulty("D05")
def a_third_of_the_labels_wrong() -> Problem:
    """A third of the arms are named at random."""
    made = spirals(rows=1500)
    noisy: dict[str, Any] = {}
    for split in ("train", "valid"):
        x, arm = made[split]
        wrong = torch.rand(len(arm), generator=seeded(7)) < 0.33
        noisy[split] = (x, torch.where(wrong, torch.randint(0, 3, arm.shape, generator=seeded(8)), arm))
    return Problem(model=lambda: Residual(2, 3), optimizer=adam(), **{**made, **noisy})


@faulty("D06")
def pictures_and_labels_shuffled_apart() -> Problem:
    """Pictures were shuffled, their labels not."""
    made = bars()
    x, kind = made["train"]
    return Problem(model=pictures, optimizer=adam(), **{**made, "train": (x[torch.randperm(len(x), generator=seeded(1))], kind)})


@faulty("D06")
def series_one_row_late() -> Problem:
    """Targets belong to the row before."""
    made = sounds()
    x, y = made["train"]
    return Problem(model=lambda: Recurrent(1), optimizer=adam(), **{**made, "train": (x[1:], y[:-1])})


@faulty("D07")
def noisy_copies_in_valid() -> Problem:
    """Half of valid are pictures of train with a little more noise."""
    made = bars()
    x, kind = made["train"]
    copies = x[:150] + 0.002 * torch.randn(150, 1, 12, 12, generator=seeded(2))
    valid = (torch.cat([made["valid"][0][:150], copies]), torch.cat([made["valid"][1][:150], kind[:150]]))
    return Problem(model=pictures, optimizer=adam(), **{**made, "valid": valid})


@faulty("D08")
def valid_in_bytes() -> Problem:
    """Valid was not divided by 255 and centred, train was."""
    made = bars()
    return Problem(model=pictures, optimizer=adam(), **{**made, "valid": (made["valid"][0] * 57 + 128, made["valid"][1])})


@faulty("D09")
def divided_by_255_twice() -> Problem:
    """Pixels end between 0 and 0.004."""
    made = bars()
    raw = {split: (((made[split][0] + 3) * 40).clamp(0, 255) / 255 / 255, made[split][1]) for split in ("train", "valid")}
    return Problem(model=pictures, optimizer=sgd(0.05), **{**made, **raw})


class Jittered(Dataset[tuple[Tensor, Tensor]]):
    """Rows with noise from a generator of the dataset's own."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y, self.draws = x, y, torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.x[row] + 0.05 * torch.randn(self.x[row].shape, generator=self.draws), self.y[row]


@faulty("D10")
def workers_that_draw_the_same() -> Problem:
    """Four workers each have a copy of one generator: they add the same noise."""
    made = surface(rows=400, epochs=8)
    loader = DataLoader(Jittered(*made["train"]), batch_size=50, shuffle=True, num_workers=4)
    return Problem(model=lambda: Residual(10, 1), optimizer=adam(), **{**made, "train": loader, "batch_size": None})


@faulty("S13")
def pictures_sorted_by_kind() -> Problem:
    """The folder is read kind by kind and not shuffled."""
    made = bars()
    x, kind = made["train"]
    order = kind.argsort(stable=True)
    return Problem(model=pictures, optimizer=sgd(0.02), **{**made, "train": (x[order], kind[order]), "shuffle": False})


@faulty("R09")
def forty_rows_by_heart() -> Problem:
    """A wide residual net learns 60 noisy rows by heart for 200 passes."""
    made = surface(rows=60, batch_size=20, epochs=200)
    x, y = made["train"]
    noisy = y + 1.0 * torch.randn(y.shape, generator=seeded(3))
    return Problem(model=lambda: Residual(10, 1, 64), optimizer=adam(), **{**made, "train": (x, noisy)})
