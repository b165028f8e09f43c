"""Live: our race and the peers on the same tasks with the same training loop, at the same price of work.

Run: python benchmarks/price/live_peers.py DATA_FOLDER CELLS.jsonl [--tasks NAME ...] [--peers NAME ...] [--seeds 3] [--prices 2 8]
     python benchmarks/price/live_peers.py --table CELLS.jsonl
Killed at any time, it goes on where it was. Needs optuna. How a study runs is in studies.py.

Our race and the enqueued portfolio are learned from the other families of tasks alone. What our race hands back is its pick by valid, even
where audit overruled it. Its price counts steps as a peer's does (with its looks, as `choose` counts, it is `work` in the cells), and
where it is above the name of the plan, studies may spend as much on that task and seed.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ranged
import torch
from cells import Cells
from prior import eligible, known, moved, strange_to
from ranges import tested
from records import TaskRecords, load
from scale import scale
from studies import KINDS, LOOKS, on_audit, study_of
from tasks import TASKS, Task

import fallline
from fallline._bench import Diverged
from fallline._planning import length_of
from fallline._portfolio import WORST
from fallline._prior import _recipe, baseline, loss_part
from fallline._ranking import plain_loss
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, prepare, threads
from fallline._step import start

TASKS_LIVE = ("bike", "letter", "fashion", "names_gru")  # of the families that train fastest, those with a gap on the records
OURS, DEFAULT, RANGED = "fallline", "AdamW default", "AdamW, warm-up and cosine after an lr range test"
PEERS = (OURS, DEFAULT, RANGED, *KINDS)  # ours first: where its race cost more than the price, peers may spend as much
AT_ANY_PRICE = (DEFAULT, RANGED)  # one training, whatever is left to spend


def alone(setting: Setting, recipe: Recipe) -> float:
    """The metric on audit of one training, looked at as all others are."""
    with threads(1):
        training = start(setting.bench_of(0, recipe.seed), recipe)
        try:
            for look in range(1, LOOKS + 1):
                training.run(round(look * recipe.steps / LOOKS))
                training.look()
        except Diverged:
            return math.nan
        return on_audit(setting, training.final(), recipe)


def by_default(setting: Setting, seed: int) -> dict[str, Any]:
    recipe = baseline(setting.problem, setting.profile, Frame(length_of(setting), seed, LOOKS, 0))
    return {"metric": alone(setting, recipe), "paid": 1.0}


def by_range_test(setting: Setting, seed: int) -> dict[str, Any]:
    """The range test from this seed's weights, and AdamW at its lr with warm-up and cosine, the best look kept as candidates keep it."""
    with threads(1):
        lrs, losses = tested(setting, seed)
    lr = ranged.within(ranged.suggestion(lrs, losses))
    row = {"optimizer": {"name": "adamw", "lr": lr}, "schedule": {"name": "cosine", "warmup": ranged.WARMUP}}
    profile, problem, length = setting.profile, setting.problem, length_of(setting)
    recipe = _recipe(row, loss_part(plain_loss(profile), profile, problem), profile, Frame(length, seed, LOOKS, 0))
    return {"metric": alone(setting, recipe), "paid": round(1 + len(losses) / length, 3), "lr": lr}


def by_us(task: Task, data: Path, seed: int, price: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        verdict = fallline.choose(task.open(data), price=price, seed=seed, out=Path(folder) / "run")
    document = verdict.document
    cost, length = document["cost"], document["problem"]["length_steps"]
    return {
        "metric": verdict.comparison.mine, "paid": round(cost["steps"] / length, 3), "work": cost["price_work"],
        "status": verdict.status, "engine": document["plan"]["engine"],
    }  # fmt: skip


def wanted(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The cells in the order of their worth: a seed of everything before the next seed."""
    found = []
    for seed in range(args.seeds):
        for name in args.tasks:
            for peer in args.peers:
                prices = [0.0] if peer in AT_ANY_PRICE else args.prices
                found += [{"task": name, "peer": peer, "price": price, "seed": seed} for price in prices]
    return found


def record(args: argparse.Namespace, cells: Cells) -> None:
    records = load()
    whole, among = known(records), eligible(records)
    settings: dict[str, Setting] = {}
    left = [cell for cell in wanted(args) if not cells.has(**cell)]
    for number, cell in enumerate(left, start=1):
        name, peer, price, seed = (cell[key] for key in ("task", "peer", "price", "seed"))
        task = next(one for one in TASKS if one.name == name)
        if name not in settings:
            settings[name] = prepare(task.open(args.data), seed=0)
        began = time.monotonic()
        if peer == OURS:
            with strange_to(records, whole, name, among):
                found = by_us(task, args.data, seed, price)
        elif peer in AT_ANY_PRICE:
            found = by_default(settings[name], seed) if peer == DEFAULT else by_range_test(settings[name], seed)
        else:
            order = moved(records, whole, name, among)
            paid = [one["paid"] for one in cells.all if all(one[key] == {**cell, "peer": OURS}[key] for key in cells.keys)]
            found = study_of(settings[name], KINDS[peer], name, seed, max([price, *paid]), order)
        cells.add({**cell, **found, "wall_s": round(time.monotonic() - began, 1)})
        print(f"{number} of {len(left)}: {name}, {peer}, price {price:g}, seed {seed}: {found['metric']:.5g}", flush=True)


def mean_and_error(values: Sequence[float], digits: Callable[[float], str]) -> str:
    """The mean of seeds and its standard error."""
    if not values:
        return ""
    error = f" ± {np.std(values, ddof=1) / math.sqrt(len(values)):.2g}" if len(values) > 1 else ""
    return f"{digits(float(np.mean(values)))}{error}"


def table(cells: Sequence[Mapping[str, Any]], records: Mapping[str, TaskRecords]) -> None:
    """The metric and the regret of everybody, with what was paid. A peer that had nothing to hand back has the default's regret."""
    tasks = [task for task in TASKS if any(cell["task"] == task.name for cell in cells)]
    prices = sorted({cell["price"] for cell in cells} - {0.0})
    seeds = len({cell["seed"] for cell in cells})
    print(f"{seeds} seed{'s' * (seeds > 1)}, torch {torch.__version__}; mean ± standard error over seeds (price paid)\n")
    print(f"| price | peer | {' | '.join(f'{task.name}: {task.metrics[0]}' for task in tasks)} | mean regret |")
    print("|---|---|" + "---|" * (len(tasks) + 1))
    for price in prices:
        for peer in PEERS:
            shown, by_seed = [], dict[int, list[float]]()
            for task in tasks:
                mine = [c for c in cells if (c["task"], c["peer"]) == (task.name, peer) and c["price"] in (0.0, price)]
                metrics = [cell["metric"] for cell in mine if math.isfinite(cell["metric"])]
                nothing = len(mine) - len(metrics)
                paid = f" ({np.mean([cell['paid'] for cell in mine]):.2f})" if mine else ""
                shown.append(mean_and_error(metrics, "{:.5g}".format) + (f", {nothing} without" if nothing else "") + paid)
                of_task, sign = scale(records[task.name]), records[task.name].sign
                for cell in mine if of_task.shown else ():
                    regret = of_task.regret(sign * cell["metric"]) if math.isfinite(cell["metric"]) else 1.0
                    regret = min(max(regret, -1.0), WORST)  # as report.py cuts them
                    by_seed.setdefault(cell["seed"], []).append(regret)
            regrets = [float(np.mean(values)) for values in by_seed.values()]
            print(f"| {price:g} | {peer} | {' | '.join(shown)} | {mean_and_error(regrets, '{:.2f}'.format)} |")
    references = ", ".join(
        f"{task.name} {abs(scale(records[task.name]).default):.5g} and {abs(scale(records[task.name]).reference):.5g}" for task in tasks
    )
    print(f"\nregret 1 and 0, from the records: {references}")
    unshown = [task.name for task in tasks if not scale(records[task.name]).shown]
    print(f"not in the mean regret, since the two lie within two standard errors: {', '.join(unshown) or 'none'}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("cells", type=Path)
    parser.add_argument("--table", action="store_true", help="print what is there and train nothing")
    parser.add_argument("--tasks", nargs="*", default=list(TASKS_LIVE))
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prices", nargs="*", type=float, default=[2.0, 8.0])
    args = parser.parse_args()
    cells = Cells(args.cells, ("task", "peer", "price", "seed"))
    if args.table:
        table(cells.all, load())
        return
    if args.data is None:
        parser.error("DATA_FOLDER is missing")
    record(args, cells)


if __name__ == "__main__":
    main()
