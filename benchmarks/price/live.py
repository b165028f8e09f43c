"""The default plan live: its wall and work price on the tasks of the records, beside plain trainings in the same run.

Run: python benchmarks/price/live.py DATA_FOLDER [--only TASK ...] [--price 3.5] [--seeds 1]
A plain training is AdamW's default by the race's own step, on one and on two threads, three times each in turn; the price counts in the
faster one's median. The same training as a tutorial writes it (DataLoader, AdamW as torch builds it, no looks) is timed in between, for a
third of its length, and the wall price in such trainings stands in brackets.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from fitted import first
from tasks import TASKS, Task
from torch.utils.data import DataLoader, Dataset, TensorDataset

import fallline
from fallline._batches import tree_map
from fallline._parts import build_loss
from fallline._planning import length_of
from fallline._prior import baseline
from fallline._problem import call
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, prepare, threads
from fallline._step import start
from fallline.metrics import NUMBERED

REPEATS = 3
LOOP_SHARE = 3  # a tutorial's loop is timed for a third of its steps, which take as long as the rest


class Plain(NamedTuple):
    """Seconds of a plain training on the threads that suit it, and of a tutorial's loop on those that suit that."""

    seconds: float
    threads: int
    loop_s: float


class Rows(Dataset[Any]):
    """A part of a problem as a map-style data set, where its inputs are more than one tensor."""

    def __init__(self, part: Any) -> None:
        self.part = part

    def __len__(self) -> int:
        return len(first(self.part))

    def __getitem__(self, row: int) -> Any:
        return tree_map(lambda leaf: leaf[row], self.part)


def looped(setting: Setting, recipe: Recipe, steps: int) -> float:
    """Seconds of so many steps of a training loop as tutorials write it."""
    problem = setting.problem
    model = problem.new_model(0)
    loss_of, classes = build_loss(recipe, problem), setting.judge.task in NUMBERED
    plain_pair = isinstance(problem.train, tuple) and all(isinstance(part, torch.Tensor) for part in problem.train)
    rows: Dataset[Any] = TensorDataset(*problem.train) if plain_pair else Rows(problem.train)
    loader = DataLoader(rows, batch_size=setting.data.batch_size, shuffle=True, drop_last=True)
    optimizer = torch.optim.AdamW(model.parameters())

    def batches() -> Iterator[Any]:
        while True:
            yield from loader

    began = time.perf_counter()
    for _, (inputs, target) in zip(range(steps), batches(), strict=False):
        optimizer.zero_grad()
        output = call(model, inputs)
        loss_of(output, target if classes else target.to(output.dtype)).backward()
        optimizer.step()
    return time.perf_counter() - began


def plain(setting: Setting) -> Plain:
    """What a plain training takes, and the loop of a tutorial."""
    recipe = baseline(setting.problem, setting.profile, Frame(length_of(setting), 0, 20, 0))
    bench = setting.bench_of(0, 0)
    times: dict[int, list[float]] = {1: [], 2: []}
    loops: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for count in times:
            with threads(count):
                training = start(bench, recipe)
                training.run(2)
                began = time.perf_counter()
                training.run(recipe.steps)
                times[count].append(time.perf_counter() - began)
                loops[count].append(LOOP_SHARE * looped(setting, recipe, recipe.steps // LOOP_SHARE))
    fastest = min(times, key=lambda count: statistics.median(times[count]))
    return Plain(statistics.median(times[fastest]), fastest, min(statistics.median(values) for values in loops.values()))


def measured(task: Task, data: Path, price: float, seed: int) -> str:
    problem = task.open(data)
    seconds, count, loop_s = plain(prepare(problem, seed=0))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        verdict = fallline.choose(problem, price=price, seed=seed, out=Path(folder) / "run")
        wall = time.perf_counter() - began
    document = verdict.document
    cost, facts = document["cost"], document["verdict"]
    prices = f"{wall / seconds:.2f} ({wall / loop_s:.2f})", f"{cost['price_work']:.2f}"
    parts = document["recipe"]["optimizer"]["name"], document["recipe"]["loss"]["name"], document["plan"]["engine"]
    cells = [
        task.name, f"{seconds:.2f} s ({count})", f"{loop_s:.2f} s", f"{wall:.1f} s", *prices,
        f"{facts['baseline']:.5g}", f"{facts['metric']:.5g}", facts["status"], *parts,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--price", type=float, default=3.5)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, price {args.price:g}\n")
    times, found = ("plain (threads)", "tutorial's loop", "wall", "wall price", "work price"), ("default", "chosen", "verdict")
    heads = "task", *times, *found, "optimizer", "loss", "engine"
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for task in TASKS:
        if args.only and task.name not in args.only:
            continue
        for seed in range(args.seeds):
            print(measured(task, args.data, args.price, seed), flush=True)


if __name__ == "__main__":
    main()
