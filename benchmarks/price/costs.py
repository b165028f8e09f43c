"""What a step of each optimizer of the space costs in steps of AdamW, on every task: costs.json, which tools/build_prior.py reads.

Run: python benchmarks/price/costs.py DATA_FOLDER [--only TASK ...]
Nothing else may run beside it. The times in the records are no use for this: trainings of one task lie hours apart on a shared machine.
Here all optimizers of a task take turns, on one thread, by the race's own step and without a clip; the ratio is the median over turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from space import rows
from tasks import TASKS

from fallline._planning import length_of
from fallline._prior import _recipe, baseline
from fallline._recipe import Frame
from fallline._setting import Setting, prepare, threads
from fallline._step import start

FILE = Path(__file__).with_name("costs.json")
TURNS = 7
TURN_S = 0.06  # of steps: dozens of small ones


def costs(setting: Setting) -> dict[str, float]:
    """Optimizer -> time of a step over AdamW's."""
    frame = Frame(length_of(setting), 0, 20, 0)
    base = baseline(setting.problem, setting.profile, frame)
    plain = {row["optimizer"]["name"]: row for row in reversed(rows()) if not row["loss"]}
    # a step costs the same at any lr, and at this one none diverges while it is timed
    plain = {name: {**row, "optimizer": {**row["optimizer"], "lr": 1e-6}, "clip": {"name": "none"}} for name, row in plain.items()}
    bench = setting.bench_of(0, 0)
    running = {name: start(bench, _recipe(row, base.loss, setting.profile, frame)) for name, row in plain.items()}
    running["adamw"] = start(bench, base)
    count = max(round(TURN_S / setting.profile.step_s), 2)
    found: dict[str, list[float]] = {name: [] for name in running}
    for training in running.values():
        training.run(3)  # allocations and first calls
    for _ in range(TURNS):
        for name, training in running.items():
            began = time.perf_counter()
            training.run(training.step + count)
            found[name].append((time.perf_counter() - began) / count)
    return {name: round(statistics.median(m / a for m, a in zip(found[name], found["adamw"], strict=True)), 2) for name in sorted(found)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="tasks; the others stay as they were measured")
    args = parser.parse_args()
    found = json.loads(FILE.read_text(encoding="utf-8")) if args.only else {}
    with threads(1):
        found |= {task.name: costs(prepare(task.open(args.data), seed=0)) for task in TASKS if not args.only or task.name in args.only}
    FILE.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
