"""The lr range test on every task of the records, live: writes ranges.json, which `ranged.py` reads.

Run: python benchmarks/price/ranges.py DATA_FOLDER [--only TASK ...]
Each test starts from fresh weights, so there is nothing to restore. AdamW's other numbers are torch's, the loss is the task's plain one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from ranged import DIVERGED, FILE, RULE, RULES, SEEDS, rates, smoothed, suggestion
from tasks import TASKS

from fallline._bench import Diverged
from fallline._planning import length_of
from fallline._prior import baseline
from fallline._recipe import Frame
from fallline._setting import Setting, prepare
from fallline._step import start


def tested(setting: Setting, seed: int) -> tuple[list[float], list[float]]:
    """(lrs, losses) of the updates that were made: all, or those until the loss ran away."""
    recipe = baseline(setting.problem, setting.profile, Frame(length_of(setting), seed, 20, 0))
    training = start(setting.bench_of(0, seed), recipe)
    lrs, losses = rates(), list[float]()
    for lr in lrs:
        for group in training.optimizer.param_groups:  # the baseline's schedule is constant, so its lr stays as it is set
            group["lr"] = lr
        try:
            training.run(training.step + 1)
        except Diverged:
            break
        losses.append(training.last_loss)
        known = smoothed(losses)
        if 0 < DIVERGED * min(known) < known[-1]:  # a loss that may be negative, as Poisson's, says nothing by its multiples
            break
    return lrs[: len(losses)], losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    found = json.loads(FILE.read_text(encoding="utf-8"))["suggested"] if FILE.exists() else {}
    for task in TASKS:
        if args.only and task.name not in args.only:
            continue
        setting = prepare(task.open(args.data), seed=0)
        torch.set_num_threads(1)
        tests = [tested(setting, seed) for seed in range(SEEDS)]
        found[task.name] = {rule: [float(f"{suggestion(*test, rule):.3g}") for test in tests] for rule in RULES}
        print(f"{task.name}: {RULE}: {', '.join(f'{lr:.2g}' for lr in found[task.name][RULE])}", flush=True)
    rows = [f" {json.dumps(name)}: {json.dumps(rules)}" for name, rules in found.items()]  # a task a line
    FILE.write_text('{"schema": 1, "suggested": {\n' + ",\n".join(rows) + "\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
