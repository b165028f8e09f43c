"""The peers on the records: random search, ASHA, Optuna's TPE with Hyperband, cold and with our portfolio enqueued, at any price.

Beside them the recipe of one who searches nothing (`ranged.py`). Every other peer sees the recorded space as its search space; what it
suggests is the nearest row not yet used (categories, decades of lr). A trial costs its share of the length. What a peer would hand back
at a price is the best on valid among what it trained to the end, as `study.best_trial` has it, or among all where nothing has ended.
Needs optuna.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
import ranged
from curve import Curve
from records import AUDIT, TaskRecords

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
LOSSES = 5
CATEGORY_AWAY = 1.0  # as far as a decade of lr


def features(task: TaskRecords) -> list[dict[str, Any]]:
    """The recorded recipes as points of a search space, averaged weights a switch."""
    return [
        {
            "optimizer": row["optimizer"]["name"],
            "lr": task.lr_of(place),
            "schedule": row["schedule"]["name"],
            "clip": row.get("clip", {"name": "none"})["name"],
            "shrinkage": float(row.get("shrinkage", 0.1)),
            "loss": int(row["loss"]),
            "averaged": averaged,
        }
        for averaged in (False, True)
        for place, row in enumerate(task.rows)
    ]


class Space:
    """From what a peer suggests to a recipe that was recorded and not used yet."""

    def __init__(self, task: TaskRecords) -> None:
        self.points = features(task)
        self.free = set(range(len(self.points)))

    def nearest(self, asked: dict[str, Any]) -> int:
        def distance(recipe: int) -> float:
            point = self.points[recipe]
            away = sum(CATEGORY_AWAY * (point[name] != asked[name]) for name in ("optimizer", "schedule", "clip", "loss", "averaged"))
            decay = abs(math.log10(point["shrinkage"] + 0.01) - math.log10(asked["shrinkage"] + 0.01))
            return away + abs(math.log10(point["lr"] / asked["lr"])) + 0.5 * decay

        chosen = min(self.free, key=lambda recipe: (distance(recipe), recipe))
        self.free.discard(chosen)
        return chosen

    def suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        def some(name: str) -> list[Any]:
            return sorted({point[name] for point in self.points})

        optimizer = trial.suggest_categorical("optimizer", some("optimizer"))
        rates = [point["lr"] for point in self.points if point["optimizer"] == optimizer]
        low, high = min(rates), max(rates)
        return {
            "optimizer": optimizer,
            "lr": trial.suggest_float(f"lr_{optimizer}", low, high * 1.0001, log=True),
            "schedule": trial.suggest_categorical("schedule", some("schedule")),
            "clip": trial.suggest_categorical("clip", some("clip")),
            "shrinkage": trial.suggest_categorical("shrinkage", some("shrinkage")),
            "loss": trial.suggest_int("loss", 0, LOSSES - 1),
            "averaged": trial.suggest_categorical("averaged", [False, True]),
        }

    def parameters(self, recipe: int) -> dict[str, Any]:
        """A recorded recipe as Optuna's parameters, to be enqueued."""
        point = dict(self.points[recipe])
        point[f"lr_{point['optimizer']}"] = point.pop("lr")
        return point


def optuna_study(task: TaskRecords, price: float, seed: int, sampler: str, pruner: str, enqueued: Sequence[int] = ()) -> Curve:
    """One study until `price` is spent; the looks at every twentieth of the length are what it reports."""
    curve, space = Curve(task), Space(task)
    shares = [k / 20 for k in range(1, 21)]
    samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
    pruners = {
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=20, reduction_factor=3),
        "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        "none": optuna.pruners.NopPruner,
    }
    # the name decides which bracket of Hyperband a trial belongs to, so it is given
    study = optuna.create_study(
        study_name=f"{task.name} {seed}", direction="minimize", sampler=samplers[sampler](seed=seed), pruner=pruners[pruner]()
    )
    for recipe in enqueued:
        study.enqueue_trial(space.parameters(recipe))

    def objective(trial: optuna.Trial) -> float:
        recipe = space.nearest(space.suggested(trial))
        value = math.inf
        for number, share in enumerate(shares, start=1):
            curve.spent += 0.05
            value = task.at(recipe, share)
            if not math.isfinite(value):
                curve.mark()
                raise optuna.TrialPruned
            curve.seen(recipe, share)
            curve.mark()
            if curve.spent >= price:
                study.stop()
                return value
            trial.report(value, number)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    while curve.spent < price and space.free:
        study.optimize(objective, n_trials=1)
    return curve


def default(task: TaskRecords, seed: int) -> float:
    return float(task.default[seed, AUDIT])


PEERS = {
    "AdamW, warm-up and cosine after an lr range test": lambda task, price, seed, portfolio: ranged.replayed(task, seed),
    "random search": lambda task, price, seed, portfolio: optuna_study(task, price, seed, "random", "none"),
    "ASHA (Optuna SuccessiveHalving)": lambda task, price, seed, portfolio: optuna_study(task, price, seed, "random", "asha"),
    "Optuna TPE + Hyperband": lambda task, price, seed, portfolio: optuna_study(task, price, seed, "tpe", "hyperband"),
    "Optuna TPE + Hyperband, our portfolio enqueued": lambda task, price, seed, portfolio: optuna_study(
        task, price, seed, "tpe", "hyperband", portfolio
    ),
}
