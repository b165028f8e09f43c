"""How well two seeds of the baseline at rung one stand for the noise of seeds at the end.

Run: python benchmarks/seed_noise.py DATA_FOLDER [--seeds 5]
For each table the baseline is trained in full with several seeds on one split; the figures are standard deviations over seeds of the
metric on valid, at rung one and at the end.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from fallline._constraints import Constraints
from fallline._planning import make_plan
from fallline._setting import prepare
from fallline._step import start
from fallline.doors import open_problem

SETS = {
    "california_housing": ("median_house_value", "mae"),
    "abalone": ("rings", "rmse"),
    "wine_quality": ("quality", "rmse"),
    "adult": ("income", "auroc"),
    "htru2_pulsar": ("pulsar", "average_precision"),
    "letter_recognition": ("letter", "accuracy"),
    "bike_sharing_hourly": ("cnt", "poisson_deviance"),
    "online_shoppers": ("Revenue", "auroc"),
    "forest_fires": ("area", "mae"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, {args.seeds} seeds\n")
    print("| table | metric | at rung one | at the end | deviation at rung one | at the end | ratio |\n|---|---|---|---|---|---|---|")
    ratios = []
    for name, (target, metric) in SETS.items():
        problem = open_problem(str(args.folder / "tabular" / f"{name}.csv.gz"), target=target, metric=metric, seed=0)
        setting = prepare(problem)
        plan = make_plan(setting, price=3.5, constraints=Constraints())
        values = []
        for seed in range(args.seeds):
            training = start(setting.bench(plan), replace(plan.baseline, seed=seed))
            training.advance(plan.rungs[0])
            early = training.measure()
            training.advance(plan.length)
            values.append((early, training.looks[-1].value))
        mean, deviation = np.mean(values, axis=0), np.std(values, axis=0, ddof=1)
        ratios.append(deviation[0] / deviation[1])
        figures = f"{mean[0]:.4g} | {mean[1]:.4g} | {deviation[0]:.3g} | {deviation[1]:.3g} | {ratios[-1]:.2f}"
        print(f"| {name} | {metric} | {figures} |", flush=True)
    print(f"\nratio: median {np.median(ratios):.2f}, smallest {min(ratios):.2f}, largest {max(ratios):.2f}")


if __name__ == "__main__":
    main()
