"""Optuna's studies live: the same trainings as our race's, chosen by its samplers and cut by its pruners, up to a price.

A study runs as its documentation advises for several processes: two workers of one thread each on one study in a journal file, each with
its own sampler. Its space is that of space.toml, continuous where that draws, without what needs a further package: optimizer, lr,
schedule, clip, shrinkage, averaging, and the task's losses in the order in which our race would try them. Needs optuna.

What is the same for all: seeds of weights and batches, looks at all of valid every 5 % of the length, the best look handed back where our
candidates hand it back, valid alone decides, a trial that diverges is one that lost. A price is steps over the length, those of trials
that were cut or diverged too. Looks are free. Trials are cut at the first look at which the price is spent, so two workers overdraw it by
a tenth of a training at most; what they had is not lost: the best on valid is handed back of all that ended or that the price cut.
"""

from __future__ import annotations

import math
import multiprocessing
import tempfile
import tomllib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from space import SPACE, losses_of

from fallline._bench import Diverged
from fallline._judge import link_of, predict
from fallline._planning import length_of
from fallline._prior import _recipe, loss_part
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting
from fallline._step import start

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
WORKERS = 2
LOOKS = 20  # as a race looks
OPTIMIZERS = ("adamw", "muon", "nesterov", "nadam", "rmsprop")  # draws of space.toml that torch alone can train
LITERATURE = ({"name": "constant", "warmup": 0.02}, {"name": "step"})  # schedules of set-ups that no draw has
SHRINKAGE = (0.01, 3.0)  # the draws' own range from nothing, which 0.01 is, to their largest, as a logarithm


@dataclass(frozen=True)
class Kind:
    """How a study chooses and cuts."""

    sampler: str
    pruner: str
    enqueued: bool = False  # our portfolio's list is tried first

    def sampler_of(self, seed: int) -> optuna.samplers.BaseSampler:
        return optuna.samplers.TPESampler(seed=seed) if self.sampler == "tpe" else optuna.samplers.RandomSampler(seed=seed)

    def pruner_of(self) -> optuna.pruners.BasePruner:
        if self.pruner == "hyperband":
            return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=LOOKS, reduction_factor=3)
        if self.pruner == "asha":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
        return optuna.pruners.NopPruner()


KINDS = {
    "random search": Kind("random", "none"),
    "ASHA (Optuna SuccessiveHalving)": Kind("random", "asha"),
    "Optuna TPE + Hyperband": Kind("tpe", "hyperband"),
    "Optuna TPE + Hyperband, our portfolio enqueued": Kind("tpe", "hyperband", enqueued=True),
}


class Space:
    """The space of space.toml as Optuna draws from it."""

    def __init__(self) -> None:
        space = tomllib.loads(SPACE.read_text(encoding="utf-8"))
        self.draws: dict[str, Mapping[str, Any]] = {d["optimizer"]: d for d in space["draw"] if d["optimizer"] in OPTIMIZERS}
        self.draws["momentum"] = self.draws["nesterov"]  # a set-up of the literature has it; no draw
        self.schedules = _named([*space["shared"]["schedule"], *LITERATURE])
        self.clips = _named(space["shared"]["clip"])

    def suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """A row of the records' kind."""
        name = trial.suggest_categorical("optimizer", list(self.draws))
        draw = self.draws[name]
        low, high = draw["lr"]
        optimizer: dict[str, Any] = {"name": name, "lr": trial.suggest_float(f"lr_{name}", low, high, log=True), **draw.get("fixed", {})}
        if "beta2" in draw:
            optimizer["beta2"] = trial.suggest_categorical("beta2", draw["beta2"])
        row: dict[str, Any] = {
            "optimizer": optimizer,
            "schedule": self.schedules[trial.suggest_categorical("schedule", list(self.schedules))],
            "clip": self.clips[trial.suggest_categorical("clip", list(self.clips))],
            "shrinkage": trial.suggest_float("shrinkage", *SHRINKAGE, log=True),
            "loss": trial.suggest_int("loss", 0, 4),
        }
        if trial.suggest_categorical("averaged", [False, True]):
            row["average"] = {"share": 0.01}
        return row

    def nearest(self, row: Mapping[str, Any], length: int) -> dict[str, Any]:
        """The parameters nearest to a row of the portfolio: what a sampler sees of a recipe that is trained as it stands."""
        optimizer = row["optimizer"]
        name, lr = optimizer["name"], float(optimizer["lr"])
        draw = self.draws[name]
        found: dict[str, Any] = {"optimizer": name, f"lr_{name}": min(max(lr, draw["lr"][0]), draw["lr"][1])}
        if "beta2" in draw:
            found["beta2"] = min(draw["beta2"], key=lambda beta: abs(beta - optimizer.get("beta2", 0.999)))
        shrinkage = row.get("shrinkage", lr * optimizer.get("weight_decay", 0.0) * length)
        return found | {
            "schedule": _likest(row.get("schedule", {"name": "constant"}), self.schedules),
            "clip": _likest(row.get("clip", {"name": "none"}), self.clips),
            "shrinkage": min(max(shrinkage, SHRINKAGE[0]), SHRINKAGE[1]),
            "loss": 0,
            "averaged": "average" in row,
        }


def _named(tables: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {str(table): table for table in tables}


def _likest(wanted: Mapping[str, Any], among: Mapping[str, Mapping[str, Any]]) -> str:
    """The choice of the same name whose numbers are nearest."""

    def distance(choice: str) -> tuple[bool, float]:
        table = among[choice]
        numbers = (wanted.keys() | table.keys()) - {"name"}
        return table["name"] != wanted["name"], sum(abs(wanted.get(key, 0.0) - table.get(key, 0.0)) for key in numbers)

    return min(among, key=distance)


def study_of(setting: Setting, kind: Kind, name: str, seed: int, price: float, order: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a study hands back for a price: its metric on audit, and what was paid. `order`: rows of the portfolio to be tried first."""
    context, length, space = multiprocessing.get_context("fork"), length_of(setting), Space()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/journal"
        study = optuna.create_study(study_name=f"{name} {seed}", storage=JournalStorage(JournalFileBackend(path)), direction="minimize")
        for row in order if kind.enqueued else ():
            study.enqueue_trial(space.nearest(row, length), user_attrs={"row": dict(row)})
        spent = context.Value("d", 0.0)
        jobs = [(setting, path, study.study_name, kind, seed, 100 * lane + seed, price, spent) for lane in range(WORKERS)]
        workers = [context.Process(target=_worker, args=job) for job in jobs]
        for process in workers:
            process.start()
        for process in workers:
            process.join()
        if any(process.exitcode for process in workers):
            raise RuntimeError(
                f"a worker of {study.study_name} ended with {[process.exitcode for process in workers]}; see what it printed"
            )
        trials = study.trials
    ended = [trial for trial in trials if trial.state == optuna.trial.TrialState.COMPLETE]
    left = [
        trial for trial in trials if "audit" in trial.user_attrs
    ]  # what a pruner stopped is handed back only where there is nothing else
    some = [trial for trial in left if trial in ended or "cut" in trial.user_attrs] or left
    best = min(some, key=lambda trial: trial.user_attrs["valid"], default=None)
    states = [trial.state.name for trial in trials if trial.state.is_finished()]
    return {
        "metric": math.nan if best is None else best.user_attrs["audit"], "paid": round(spent.value, 3), "trials": len(states),
        "ended": len(ended), "diverged": sum("diverged" in trial.user_attrs for trial in trials),
    }  # fmt: skip


def _worker(setting: Setting, path: str, name: str, kind: Kind, seed: int, sampled: int, price: float, spent: Any) -> None:
    """Trials of one study until the price is spent."""
    torch.set_num_threads(1)
    storage = JournalStorage(JournalFileBackend(path))
    study = optuna.load_study(study_name=name, storage=storage, sampler=kind.sampler_of(sampled), pruner=kind.pruner_of())
    length, losses, space = length_of(setting), losses_of(setting.profile, setting.judge), Space()

    def objective(trial: optuna.Trial) -> float:
        suggested = space.suggested(trial)
        row = trial.user_attrs.get("row", suggested)  # what was enqueued is trained as it stands
        loss, settings = losses[row.get("loss", 0)]
        part = loss_part(loss, setting.profile, setting.problem, settings)
        recipe = _recipe(row, part, setting.profile, Frame(length, seed, LOOKS, 0))
        training = start(setting.bench_of(0, seed), recipe)

        def leaves(value: float) -> None:
            trial.set_user_attr("valid", value)
            trial.set_user_attr("audit", on_audit(setting, training.final(), recipe))

        for look in range(1, LOOKS + 1):
            before = training.step
            try:
                training.run(round(look * length / LOOKS))
                value = _standing(setting, training.look(), training.best, recipe)
            except Diverged as error:
                trial.set_user_attr("diverged", str(error))
                raise optuna.TrialPruned from error
            finally:
                with spent.get_lock():
                    spent.value += (training.step - before) / length
                    over = spent.value >= price - 1e-9
            trial.report(value, look)
            if look == LOOKS:
                break
            if over:
                trial.set_user_attr("cut", True)
            if over or trial.should_prune():
                leaves(value)
                raise optuna.TrialPruned
        leaves(value)
        return value

    parent = multiprocessing.parent_process()
    while spent.value < price - 1e-9 and parent is not None and parent.is_alive():  # a program that was killed leaves no study running
        study.optimize(objective, n_trials=1)


def _standing(setting: Setting, now: float, best: Any, recipe: Recipe) -> float:
    """What a look is worth, lower is better: the best so far where the best is handed back, as a rung of ours has it."""
    return setting.judge.sign * (best.value if recipe.keep == "best" and best is not None else now)


def on_audit(setting: Setting, model: torch.nn.Module, recipe: Recipe) -> float:
    """The metric on audit of what a training hands back."""
    outputs, targets = predict(model, setting.bench_of(0, 0).data.sweep("audit", setting.device))
    return float(setting.judge.value(outputs, targets, link_of(recipe, setting.problem)))
