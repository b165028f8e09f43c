"""Live: our race and the peers on the same tasks with the same training loop, at the same price of work.

Run: python benchmarks/price/live_peers.py DATA_FOLDER [--tasks NAME ...] [--seeds 3] [--prices 2 8]
Needs optuna. A peer runs as its documentation advises for several processes: two workers of one thread each on one study in a journal file.
Its space is that of space.toml, continuous where that draws: optimizer, lr, schedule, clip, shrinkage, averaging, and the task's losses.
A peer's price is the steps of all its trials over the length. What it hands back is its best completed trial, else its best trial.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import random
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from prior import eligible, held_out, known
from records import TaskRecords, load
from space import SPACE, losses_of
from tasks import TASKS, Task

import fallline
from fallline._bench import Diverged
from fallline._judge import link_of, predict
from fallline._planning import length_of
from fallline._prior import _recipe, loss_part
from fallline._recipe import Frame
from fallline._setting import Setting, prepare
from fallline._step import start

WORKERS = 2
LOOKS = 20
TASKS_LIVE = ("bike", "fashion", "names_gru", "shoppers")  # one of each family that trains fastest, and a table of classes


def suggested(trial: optuna.Trial, space: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the space, as Optuna draws it."""
    draws = {draw["optimizer"]: draw for draw in space["draw"] if draw["optimizer"] in ("adamw", "muon", "nesterov", "nadam", "rmsprop")}
    name = trial.suggest_categorical("optimizer", list(draws))
    low, high = draws[name]["lr"]
    optimizer: dict[str, Any] = {"name": name, "lr": trial.suggest_float(f"lr_{name}", low, high, log=True)}
    if "beta2" in draws[name]:
        optimizer["beta2"] = trial.suggest_categorical("beta2", draws[name]["beta2"])
    schedules, clips = ({str(kind): kind for kind in space["shared"][part]} for part in ("schedule", "clip"))
    row: dict[str, Any] = {
        "optimizer": optimizer,
        "schedule": schedules[trial.suggest_categorical("schedule", list(schedules))],
        "clip": clips[trial.suggest_categorical("clip", list(clips))],
        "shrinkage": trial.suggest_float("shrinkage", 0.0, 3.0),
        "loss": trial.suggest_int("loss", 0, 4),
    }
    if trial.suggest_categorical("averaged", [False, True]):
        row["average"] = {"share": 0.01}
    return row


def parameters(task: TaskRecords, recipe: int) -> dict[str, Any]:
    """A recipe of our portfolio as Optuna's parameters; literature's own decay is read as the nearest shrinkage."""
    row = task.rows[recipe % len(task.rows)]
    name = row["optimizer"]["name"]
    lr, decay = row["optimizer"]["lr"], row["optimizer"].get("weight_decay", 0.0)
    return {
        "optimizer": name,
        f"lr_{name}": lr,
        **({"beta2": row["optimizer"].get("beta2", 0.999)} if name in ("adamw", "nadam") else {}),
        "schedule": str(row["schedule"]),
        "clip": str(row.get("clip", {"name": "none"})),
        "shrinkage": min(row.get("shrinkage", lr * decay * task.facts["length"]), 3.0),
        "loss": 0,
        "averaged": recipe >= len(task.rows),
    }


def worker(setting: Setting, storage: str, kind: str, seed: int, price: float, spent: Any) -> None:
    """Trials of one study until the price is spent."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = tomllib.loads(SPACE.read_text(encoding="utf-8"))
    sampler = optuna.samplers.RandomSampler(seed=seed) if kind == "random search" else optuna.samplers.TPESampler(seed=seed)
    pruner = optuna.pruners.NopPruner() if kind == "random search" else optuna.pruners.HyperbandPruner(1, LOOKS, 3)
    study = optuna.load_study(study_name="study", storage=JournalStorage(JournalFileBackend(storage)), sampler=sampler, pruner=pruner)
    length, losses, sign = length_of(setting), losses_of(setting.profile, setting.judge), setting.judge.sign

    def objective(trial: optuna.Trial) -> float:
        row = suggested(trial, space)
        name, settings = losses[row["loss"]]
        recipe = _recipe(row, loss_part(name, setting.profile, setting.problem, settings), setting.profile, Frame(length, 0, LOOKS, 0))
        bench = setting.bench_of(0, 0)
        training = start(bench, recipe)
        try:
            for look in range(1, LOOKS + 1):
                before = training.step
                training.run(round(look * length / LOOKS))
                value = sign * training.look()
                with spent.get_lock():
                    spent.value += (training.step - before) / length
                    over = spent.value >= price
                trial.report(value, look)
                if over or (look < LOOKS and trial.should_prune()):
                    trial.set_user_attr("audit", audit(setting, training.final(), recipe))
                    if over:
                        study.stop()
                    raise optuna.TrialPruned
        except Diverged as error:
            raise optuna.TrialPruned from error
        trial.set_user_attr("audit", audit(setting, training.final(), recipe))
        return sign * (training.best.value if recipe.keep == "best" and training.best else value)

    while spent.value < price:
        study.optimize(objective, n_trials=1)


def audit(setting: Setting, model: torch.nn.Module, recipe: Any) -> float:
    outputs, targets = predict(model, setting.bench_of(0, 0).data.sweep("audit", setting.device))
    return float(setting.judge.value(outputs, targets, link_of(recipe, setting.problem)))


def peer(setting: Setting, kind: str, seed: int, price: float, enqueued: list[dict[str, Any]]) -> float:
    """The audit metric of what a peer hands back."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/journal"
        study = optuna.create_study(study_name="study", storage=JournalStorage(JournalFileBackend(path)), direction="minimize")
        for known_good in enqueued:
            study.enqueue_trial(known_good)
        spent = context.Value("d", 0.0)
        workers = [context.Process(target=worker, args=(setting, path, kind, seed + 100 * k, price, spent)) for k in range(WORKERS)]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        done = [t for t in study.trials if t.state == optuna.trial.TrialState.COMPLETE]
        some = done or [t for t in study.trials if t.intermediate_values and "audit" in t.user_attrs]
        best = min(some, key=lambda t: t.value if t.value is not None else min(t.intermediate_values.values()), default=None)
        return float(best.user_attrs["audit"]) if best is not None else math.nan


def ours(task: Task, data: Path, seed: int, price: float) -> tuple[float, float, float]:
    """(metric, the baseline's metric, work price) of our race."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = fallline.choose(task.open(data), price=price, seed=seed, out=Path(folder) / "run")
    facts = verdict.document["verdict"]
    return facts["metric"], facts["baseline"], verdict.document["cost"]["price_work"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS_LIVE))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--prices", nargs="*", type=float, default=[2.0, 8.0])
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random.seed(0)
    records = load()
    whole, among = known(records), eligible(records)
    kinds: dict[str, Callable[[TaskRecords, list[int]], list[dict[str, Any]]]] = {
        "random search": lambda task, order: [],
        "Optuna TPE + Hyperband": lambda task, order: [],
        "the same, our portfolio enqueued": lambda task, order: [parameters(task, recipe) for recipe in order],
    }
    print("| task | metric | price | default | fallline (its price) | " + " | ".join(kinds) + " |\n|" + "---|" * (5 + len(kinds)))
    for name in args.tasks:
        task = next(one for one in TASKS if one.name == name)
        setting = prepare(task.open(args.data), seed=0)
        order = held_out(records, whole, name, among)
        for price in args.prices:
            found = [ours(task, args.data, seed, price) for seed in range(args.seeds)]
            mine, base, cost = (np.mean([one[k] for one in found]) for k in range(3))
            theirs = [
                np.mean([peer(setting, kind, s, price, made(records[name], order)) for s in range(args.seeds)])
                for kind, made in kinds.items()
            ]
            cells = [name, task.metrics[0], f"{price:g}", f"{base:.5g}", f"{mine:.5g} ({cost:.1f})", *(f"{value:.5g}" for value in theirs)]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
