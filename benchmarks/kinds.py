"""Every set of the development data through its door and a race: what the plain default reaches, what was chosen, and what is known of it.

Run: python benchmarks/kinds.py DATA_FOLDER [--price 3.5] [--seed 0] [--epochs E] [--only NAME ...]
The metric of each set was fixed beforehand: the first that the data's README names. References come from there too; most are of another
split or another model, so they say what is usual, not what is to be reached.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import fallline
from fallline._errors import FalllineError
from fallline.doors import open_problem

BY_CHANCE = 0.025  # of equal recipes, how often an interval of 95 % lies on the good side of zero


@dataclass(frozen=True)
class Set:
    """One file, what its door is told, the metric its people use, and what others reached."""

    file: str
    metric: str
    reference: str
    options: Mapping[str, Any] = field(default_factory=dict)


SETS = (
    Set("images/fashion_mnist.npz", "accuracy", "small CNN 0.925, ResNet-18 with augmentation 0.949 (published)"),
    Set("images/trashnet_64x48.npz", "accuracy", "about 0.75 at full size (published), random forest 0.648"),
    Set("segmentation/nuclei_fluorescence_128.npz", "iou", "Otsu threshold 0.771"),
    Set("segmentation/nuclei_fluorescence_128.npz", "poisson_deviance", "none", {"target": "count"}),
    Set("tabular/california_housing.csv.gz", "rmse", "boosted trees 46,844", {"target": "median_house_value"}),
    Set("tabular/bike_sharing_hourly.csv.gz", "rmse", "boosted trees 44.2", {"target": "cnt"}),
    Set("tabular/abalone.csv.gz", "rmse", "boosted trees 2.176", {"target": "rings"}),
    Set("tabular/wine_quality.csv.gz", "rmse", "boosted trees 0.641", {"target": "quality"}),
    Set("tabular/diamonds.csv.gz", "rmse", "boosted trees 545.9", {"target": "price"}),
    Set("tabular/forest_fires.csv.gz", "mae", "none", {"target": "area"}),
    Set("tabular/protein_casp.csv.gz", "rmse", "dropout network 4.27 (published), boosted trees 4.067", {"target": "RMSD"}),
    Set("tabular/adult.csv.gz", "accuracy", "NBTree 0.859 (published, no unknowns), boosted trees 0.871", {"target": "income"}),
    Set("tabular/credit_default.csv.gz", "auroc", "boosted trees 0.777", {"target": "default"}),
    Set("tabular/htru2_pulsar.csv.gz", "average_precision", "boosted trees 0.930", {"target": "pulsar"}),
    Set("tabular/online_shoppers.csv.gz", "auroc", "boosted trees 0.934", {"target": "Revenue"}),
    Set("tabular/letter_recognition.csv.gz", "accuracy", "boosted trees 0.963", {"target": "letter"}),
    Set("tabular/rand_doctor_visits.csv.gz", "poisson_deviance", "boosted trees 3.39", {"target": "mdvis"}),
    Set("text/goemotions.csv.gz", "macro_f1", "BERT 0.503 (published), TF-IDF 0.389"),
    Set("text/banking77.csv.gz", "accuracy", "TF-IDF 0.894", {"target": "category"}),
    Set("text/sms_spam.csv.gz", "f1", "TF-IDF accuracy 0.980", {"target": "label"}),
    Set("text/names_nationality.csv.gz", "accuracy", "character TF-IDF 0.849", {"target": "nationality"}),
    Set("text/tinyshakespeare.txt", "log_loss", "transformer 1.88 on a CPU in 3 minutes (published), bigram 2.4875"),
    Set("series/ETTh1.csv.gz", "mse", "published on scaled values only", {"time": "date", "horizon": 96}),
    Set("series/metro_traffic_hourly.csv.gz", "mae", "none", {"time": "date_time", "horizon": 24, "target": "traffic_volume"}),
    Set("series/airline_passengers.csv.gz", "mae", "none", {"time": "month", "horizon": 12}),
    Set("series/sunspots_yearly.csv.gz", "mae", "none", {"time": "year", "horizon": 11}),
    Set("series/mauna_loa_co2_weekly.csv.gz", "mae", "none", {"time": "date", "horizon": 4}),
    Set("sequence/indoor_movement.npz", "accuracy", "random forest 0.873 (random split)", {"group": "group"}),
)
HEADS = ("set", "task", "metric", "plain default", "chosen", "95 % interval", "verdict", "loss", "optimizer", "price", "wall", "reference")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--price", type=float, default=3.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, help="a shorter training than the rule's, for a first look")
    parser.add_argument("--only", nargs="*", default=[], help="parts of file names")
    args = parser.parse_args()
    print(f"{platform.machine()}, torch {torch.__version__}, price {args.price:g}, seed {args.seed}\n")
    print(f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}")
    chosen = [one for one in SETS if not args.only or any(part in one.file for part in args.only)]
    other = won = 0
    for one in chosen:
        try:
            row, differs, better = raced(one, args)
        except FalllineError as error:
            row, differs, better = [_name(one), "-", one.metric, f"refused: {error}", *["-"] * (len(HEADS) - 4)], False, False
        other, won = other + differs, won + better
        print(f"| {' | '.join(row)} |", flush=True)
    print(f"\nChosen with a loss other than the plain one: {other} of {len(chosen)} sets, better beyond the interval on {won}; ", end="")
    print(f"of equal recipes about {BY_CHANCE * other:.1f} would be by chance.")


def raced(one: Set, args: argparse.Namespace) -> tuple[list[str], bool, bool]:
    """A row of the table, whether the loss is another than the baseline's, and whether it is then better beyond the interval."""
    problem = open_problem(args.folder / one.file, metric=one.metric, seed=args.seed, epochs=args.epochs, **one.options)
    with tempfile.TemporaryDirectory() as folder:
        verdict = fallline.choose(problem, price=args.price, seed=args.seed, out=Path(folder) / "run")
    document, (low, high) = verdict.document, verdict.interval
    facts, cost = document["verdict"], document["cost"]
    differs = document["recipe"]["loss"]["name"] != document["baseline_recipe"]["loss"]["name"]
    row = [
        _name(one), document["problem"]["task"], one.metric, f"{facts['baseline']:,.5g}", f"{facts['metric']:,.5g}",
        f"{low:,.4g} to {high:,.4g}", verdict.status, document["recipe"]["loss"]["name"], document["recipe"]["optimizer"]["name"],
        f"{cost['price_work']:.2f}", f"{cost['wall_s']:.0f} s", one.reference,
    ]  # fmt: skip
    return row, differs, differs and verdict.status == "better"


def _name(one: Set) -> str:
    target = one.options.get("target", "")
    name = Path(one.file).name.partition(".")[0]
    return f"{name} ({target})" if target == "count" else name


if __name__ == "__main__":
    main()
