"""Every table of the development data through the door and a race: metric of baseline and choice, interval, work and wall price.

Run: python benchmarks/tables.py DATA_FOLDER [--price 3.5] [--seed 0]
DATA_FOLDER holds tabular/, text/ and series/ as the development data do; sets that need another door are passed over with the reason.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

import torch

import fallline
from fallline.doors import open_problem

SETS = {  # file -> target, metric its people use
    "tabular/california_housing": ("median_house_value", "mae"),
    "tabular/bike_sharing_hourly": ("cnt", "poisson_deviance"),
    "tabular/abalone": ("rings", "rmse"),
    "tabular/wine_quality": ("quality", "rmse"),
    "tabular/diamonds": ("price", "mae"),
    "tabular/forest_fires": ("area", "mae"),
    "tabular/protein_casp": ("RMSD", "rmse"),
    "tabular/adult": ("income", "accuracy"),
    "tabular/credit_default": ("default", "auroc"),
    "tabular/htru2_pulsar": ("pulsar", "average_precision"),
    "tabular/online_shoppers": ("Revenue", "auroc"),
    "tabular/letter_recognition": ("letter", "accuracy"),
    "tabular/rand_doctor_visits": ("mdvis", "poisson_deviance"),
    "series/metro_traffic_hourly": ("traffic_volume", "mae"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--price", type=float, default=3.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, price {args.price:g}, seed {args.seed}\n")
    heads = ["table", "task", "metric", "baseline", "chosen", "95 % interval", "verdict", "recipe"]
    heads += ["work", "wall", "training", "evaluation"]
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for name, (target, metric) in SETS.items():
        problem = open_problem(str(args.folder / f"{name}.csv.gz"), target=target, metric=metric, seed=args.seed)
        with tempfile.TemporaryDirectory() as folder:
            verdict = fallline.choose(problem, price=args.price, seed=args.seed, out=Path(folder) / "run")
        document, (low, high) = verdict.document, verdict.interval
        facts, cost, task = document["verdict"], document["cost"], document["problem"]["task"]
        figures = f"{facts['baseline']:,.5g} | {facts['metric']:,.5g} | {low:,.4g} to {high:,.4g} | {verdict.status} | {facts['winner']}"
        shares = f"{cost['training_s'] / cost['lane_s']:.1%} | {cost['evaluation_s'] / cost['lane_s']:.1%}"
        price = f"{cost['price_work']:.2f} | {cost['wall_s']:.0f} s ({cost['price_wall']:.1f})"
        print(f"| {name.split('/')[1]} | {task} | {metric} | {figures} | {price} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
