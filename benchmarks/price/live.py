"""The default plan live: its wall and work price on the tasks of the records, beside plain trainings in the same run.

Run: python benchmarks/price/live.py DATA_FOLDER [--only TASK ...] [--price 3.5] [--seeds 1]
A plain training is AdamW's default by the race's own step, on one and on two threads, three times each in turn; the price counts in the
faster one's median.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path

import torch
from tasks import TASKS, Task

import fallline
from fallline._planning import length_of
from fallline._prior import baseline
from fallline._recipe import Frame
from fallline._setting import Setting, prepare, threads
from fallline._step import start

REPEATS = 3


def plain(setting: Setting) -> tuple[float, int]:
    """Seconds of one plain training, and on how many threads it is fastest."""
    recipe = baseline(setting.problem, setting.profile, Frame(length_of(setting), 0, 20, 0))
    bench = setting.bench_of(0, 0)
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for count in times:
            with threads(count):
                training = start(bench, recipe)
                training.run(2)
                began = time.perf_counter()
                training.run(recipe.steps)
                times[count].append(time.perf_counter() - began)
    fastest = min(times, key=lambda count: statistics.median(times[count]))
    return statistics.median(times[fastest]), fastest


def measured(task: Task, data: Path, price: float, seed: int) -> str:
    problem = task.open(data)
    seconds, count = plain(prepare(problem, seed=0))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        verdict = fallline.choose(problem, price=price, seed=seed, out=Path(folder) / "run")
        wall = time.perf_counter() - began
    document = verdict.document
    cost, facts = document["cost"], document["verdict"]
    cells = [
        task.name, f"{seconds:.2f} s ({count})", f"{wall:.1f} s", f"{wall / seconds:.2f}", f"{cost['price_work']:.2f}",
        f"{facts['baseline']:.5g}", f"{facts['metric']:.5g}", facts["status"], document["recipe"]["optimizer"]["name"],
        document["recipe"]["loss"]["name"], document["plan"]["engine"],
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
    heads = "task", "plain (threads)", "wall", "wall price", "work price", "default", "chosen", "verdict", "optimizer", "loss", "engine"
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for task in TASKS:
        if args.only and task.name not in args.only:
            continue
        for seed in range(args.seeds):
            print(measured(task, args.data, args.price, seed), flush=True)


if __name__ == "__main__":
    main()
