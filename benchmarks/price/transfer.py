"""How the best lr moves with batch size, width and length: a grid of lrs on four tasks, at three of each.

Run: python benchmarks/price/transfer.py DATA_FOLDER CELLS.jsonl, as often as it takes: the last time it writes transfer.json. Then
     python benchmarks/price/transferred.py, which prints the tables of transfer.md
Where the batch changes, epochs stay, so that a larger batch means fewer steps, as it does where somebody changes their batch size.
Weight decay is the same in lr x decay x steps. What is judged is the mean of the plain loss on valid and on audit at its best look, less
noisy than a metric that counts.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from cells import Cells
from networks import NameGRU, SmallCNN
from tasks import TASKS
from transferred import BATCH, EPOCHS, FILE, WIDTHS

from fallline._bench import Diverged
from fallline._demands import judging
from fallline._judge import link_of, predict
from fallline._planning import length_of
from fallline._prior import _recipe, loss_part
from fallline._problem import Problem
from fallline._ranking import plain_loss
from fallline._recipe import Frame
from fallline._setting import Setting, prepare
from fallline._step import start
from fallline.metrics import resolve

WHAT = {"california": "mse", "letter": "log_loss", "fashion": "log_loss", "names_gru": "log_loss"}
BATCHES = (16, 64, 256)
OPTIMIZERS = ("adamw", "muon")
LRS = [5e-4 * 2**k for k in range(9)]
NARROW = 7  # of these lrs for networks on tables at the usual length, whose best lr is lower
LOOKS = 10
KEYS = ("task", "optimizer", "batch", "width", "epochs", "lr")
SHRINKAGE = 0.1  # weight decay x lr x steps, as most recipes of the portfolio have it


def of_width(problem: Problem, name: str, width: int) -> Problem:
    """The problem with a network of another width."""
    if name in ("california", "letter"):
        return replace(problem, model=partial(problem.model, width=width))
    made = problem.model()
    if isinstance(made, SmallCNN):
        channels, classes = problem.train[0].shape[1], made.head.out_features
        return replace(problem, model=lambda: SmallCNN(channels, classes, width))
    assert isinstance(made, NameGRU)
    return replace(problem, model=lambda: NameGRU(made.embedding.num_embeddings, made.head.out_features, hidden=width))


def jobs() -> Iterator[dict[str, Any]]:
    """Every cell: a task, an optimizer, a batch size, a width, a number of epochs and an lr."""
    for name, optimizer in itertools.product(WHAT, OPTIMIZERS):
        ordinary, usual = WIDTHS[name][1], EPOCHS[name][1]
        places = [(batch, ordinary, usual) for batch in BATCHES]
        places += [(BATCH, width, usual) for width in WIDTHS[name] if width != ordinary]
        places += [(BATCH, ordinary, epochs) for epochs in EPOCHS[name] if epochs != usual]
        for (batch, width, epochs), lr in itertools.product(places, LRS):
            if lr in LRS[:NARROW] or epochs != usual or name not in ("california", "letter"):
                yield {"task": name, "optimizer": optimizer, "batch": batch, "width": width, "epochs": epochs, "lr": float(f"{lr:.4g}")}


@cache
def setting_of(name: str, batch: int, width: int, epochs: int, data: str) -> Setting:
    """A task made ready once a process."""
    problem = next(task for task in TASKS if task.name == name).open(Path(data))
    return prepare(replace(of_width(problem, name, width), batch_size=batch, epochs=epochs), seed=0)


def reached(cell: dict[str, Any], data: str) -> dict[str, Any]:
    """One training: the mean over valid and audit of the plain loss, at the best of its looks."""
    name = cell["task"]
    setting = setting_of(name, cell["batch"], cell["width"], cell["epochs"], data)
    torch.set_num_threads(1)
    length, profile = length_of(setting), setting.profile
    fixed = {"polynomial": "polar_express", "ns_steps": 2} if cell["optimizer"] == "muon" else {}
    row = {
        "name": "",
        "optimizer": {"name": cell["optimizer"], "lr": cell["lr"], **fixed},
        "schedule": {"name": "cosine", "warmup": 0.02},
        "shrinkage": SHRINKAGE,
    }
    recipe = _recipe(row, loss_part(plain_loss(profile), profile, setting.problem), profile, Frame(length, 0, LOOKS, 0))
    bench, judge = setting.bench_of(0, 0), replace(setting.judge, metric=resolve(WHAT[name], None))
    training, link, found = start(bench, recipe), link_of(recipe, setting.problem), []
    try:
        for look in range(1, LOOKS + 1):
            training.run(max(round(look / LOOKS * length), 1))
            with judging(training.optimizer):
                values = [
                    float(judge.value(*predict(training.model, bench.data.sweep(split, bench.device)), link))
                    for split in ("valid", "audit")
                ]
            found.append(sum(values) / 2)
    except Diverged:
        pass
    best = min((value for value in found if math.isfinite(value)), default=math.nan)
    return {**cell, "fan_in": round(profile.fan_in, 1), "steps": length, "reached": best if len(found) == LOOKS else math.nan}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("cells", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    cells = Cells(args.cells, KEYS)
    left = [job for job in jobs() if not cells.has(**job)]
    with multiprocessing.get_context("forkserver").Pool(args.workers) as pool:
        for cell in pool.imap_unordered(partial(reached, data=args.data), left):
            cells.add(cell)
    rows = [json.dumps(cell) for cell in sorted(cells.all, key=lambda cell: [str(cell[key]) for key in KEYS])]
    FILE.write_text("[\n" + ",\n".join(rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
