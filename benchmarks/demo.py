"""The demo over ten seeds: audit MAE of the choice against AdamW's default on California housing, both trained in the same race.

Run: python benchmarks/demo.py [--seeds 10] [--price 3.5]
Splits, initial weights and batch order all follow the seed, so the ten races are ten draws of everything that chance decides.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

import numpy as np
import torch

import fallline
from fallline._statistics import t_quantile
from fallline.doors import open_problem

TABLE = Path(__file__).parents[1] / "examples" / "data" / "california_housing.csv.gz"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--price", type=float, default=3.5)
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, price {args.price:g}\n")
    print("| seed | baseline MAE | chosen MAE | difference | 95 % interval | verdict | recipe | work | wall s |")
    print("|---|---|---|---|---|---|---|---|---|")
    differences = []
    for seed in range(args.seeds):
        problem = open_problem(str(TABLE), target="median_house_value", metric="mae", seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            verdict = fallline.choose(problem, price=args.price, seed=seed, out=Path(folder) / "run")
        facts, cost, (low, high) = verdict.document["verdict"], verdict.document["cost"], verdict.interval
        differences.append(verdict.difference)
        figures = f"{facts['baseline']:,.0f} | {facts['metric']:,.0f} | {verdict.difference:+,.0f} | {low:+,.0f} to {high:+,.0f}"
        print(
            f"| {seed} | {figures} | {verdict.status} | {facts['winner']} | {cost['price_work']:.2f} | {cost['wall_s']:.1f} |", flush=True
        )
    mean, spread = np.mean(differences), np.std(differences, ddof=1) / np.sqrt(len(differences))
    half = t_quantile(0.975, len(differences) - 1) * spread
    lower = sum(difference < 0 for difference in differences)
    interval = f"95 % interval {mean - half:+,.0f} to {mean + half:+,.0f}"
    print(f"\nbelow the baseline in {lower} of {len(differences)}; mean difference {mean:+,.0f}, {interval}")


if __name__ == "__main__":
    main()
