"""Muon's orthogonalisation: which polynomials, how many steps. What a training costs and what it reaches, on tasks of the records.

Run: python benchmarks/price/muon.py DATA_FOLDER [--only TASK ...] [--seeds 3]
The recipe is the records' muon-wsd; every variant trains in full on one thread, in turn within a seed, and AdamW's default with them.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from records import at_length
from space import rows
from tasks import TASKS

from fallline._judge import link_of
from fallline._planning import length_of
from fallline._prior import _recipe, baseline
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, prepare, threads
from fallline._step import start

VARIANTS = (("jordan", 5), ("jordan", 3), ("polar_express", 3), ("polar_express", 2), ("polar_express", 1))
SEEN = ("california", "protein", "bike", "letter", "fashion", "shakespeare_lstm")


def row_named(name: str) -> dict[str, Any]:
    """The row of the space with the plain loss."""
    return next(row for row in rows() if row["name"] == name and not row["loss"])


def frame_of(setting: Setting, seed: int) -> Frame:
    return Frame(length_of(setting), seed, 20, 0)


def recipe_of(setting: Setting, row: Mapping[str, Any], seed: int) -> Recipe:
    """A row as it is trained on a task; it hands back what the baseline does."""
    frame = frame_of(setting, seed)
    base = baseline(setting.problem, setting.profile, frame)
    return replace(_recipe(at_length(row, frame.steps), base.loss, setting.profile, frame), keep=base.keep)


def recipes(setting: Setting, seed: int) -> dict[str, Recipe]:
    """AdamW's default, and muon-wsd with each way to orthogonalise."""
    row = row_named("muon-wsd")
    found = {"AdamW's default": baseline(setting.problem, setting.profile, frame_of(setting, seed))}
    for polynomial, steps in VARIANTS:
        spelled: dict[str, Any] = {**row, "optimizer": {**row["optimizer"], "polynomial": polynomial, "ns_steps": steps}}
        found[f"{polynomial} {steps}"] = recipe_of(setting, spelled, seed)
    return found


def trained(setting: Setting, recipe: Recipe, seed: int) -> tuple[float, float]:
    """(the metric on audit, seconds of training)."""
    bench = setting.bench_of(0, seed)
    with threads(1):
        training = start(bench, recipe)
        training.run(2)
        began = time.perf_counter()
        training.run(recipe.steps)
        seconds = time.perf_counter() - began
        outputs, targets = bench.outputs(training.final(), "audit")
    return float(bench.judge.value(outputs, targets, link_of(recipe, setting.problem))), seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=SEEN)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, {args.seeds} seeds, one thread\n")
    print("| task | metric | steps of | reached on audit: mean (each seed) | time / AdamW's, median |\n|---|---|---|---|---|")
    for task in (task for task in TASKS if task.name in args.only):
        setting = prepare(task.open(args.data), seed=0)
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in range(args.seeds):
            for name, recipe in recipes(setting, seed).items():
                found.setdefault(name, []).append(trained(setting, recipe, seed))
        first = found["AdamW's default"]
        for name, values in found.items():
            times = statistics.median(mine[1] / base[1] for mine, base in zip(values, first, strict=True))
            each = ", ".join(f"{value:.5g}" for value, _ in values)
            mean = statistics.mean(value for value, _ in values)
            print(f"| {task.name} | {setting.judge.metric.name} | {name} | {mean:.5g} ({each}) | {times:.2f} |", flush=True)


if __name__ == "__main__":
    main()
