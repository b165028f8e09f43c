"""All recipes of the portfolio trained in full on tables: what rung one said of each, and what came of it.

Run: python benchmarks/portfolio.py DATA_FOLDER [--seed 0]
Columns: the metric at rung one as the race judges it, of averaged weights at rung one, and at the end, all on valid.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import torch

from fallline._bench import Diverged
from fallline._constraints import Constraints
from fallline._planning import make_plan
from fallline._setting import Setting, prepare
from fallline._step import start
from fallline.doors import open_problem

SETS = {
    "letter_recognition": ("letter", "accuracy"),
    "htru2_pulsar": ("pulsar", "average_precision"),
    "wine_quality": ("quality", "rmse"),
    "bike_sharing_hourly": ("cnt", "poisson_deviance"),
    "abalone": ("rings", "mae"),
    "california_housing": ("median_house_value", "mae"),
}


def trained(setting: Setting, name: str, metric: str) -> None:
    """One line for the baseline and each candidate of the plan at price 8."""
    plan = make_plan(setting, price=8, constraints=Constraints())
    bench, sign = setting.bench(plan), setting.judge.sign
    named = [("baseline", plan.baseline), *((candidate.name, candidate.recipe) for candidate in plan.candidates)]
    for label, recipe in named:
        training = start(bench, recipe, max(1 - 100 / plan.length, 0.9))
        try:
            training.advance(plan.rungs[0])
            shadow = training.standing()
            raw = sign * min(sign * value for value in [*(look.value for look in training.looks), training.measure()])
            training.advance(plan.length)
        except Diverged as error:
            print(f"| {name} | {metric} | {label} | {recipe.loss} | {error} | | |", flush=True)
            continue
        final = bench.look(training.final(), recipe)
        print(f"| {name} | {metric} | {label} | {recipe.loss.name} | {raw:.5g} | {shadow:.5g} | {final:.5g} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, 1 thread, seed {args.seed}\n")
    print("| table | metric | recipe | loss | rung one | averaged at rung one | end |\n|---|---|---|---|---|---|---|")
    for name, (target, metric) in SETS.items():
        problem = open_problem(str(args.folder / "tabular" / f"{name}.csv.gz"), target=target, metric=metric, seed=args.seed)
        trained(prepare(problem, seed=args.seed), name, metric)


if __name__ == "__main__":
    main()
