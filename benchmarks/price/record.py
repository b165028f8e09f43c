"""Recording: every recipe of the space trained in full on every task, its curves written down. Killed at any time, it goes on where it was.

Run: python benchmarks/price/record.py DATA_FOLDER WORK_FOLDER [--minutes 90] [--workers 2] [--only TASK ...] [--recipes 128]
     the same with --pack, with --again, and with --pack once more
     the same with --renew OPTIMIZER, where an optimizer's step has changed: its rows alone are trained again and replaced by --pack
Needs the extra `optimizers`. Each training runs on one thread, so its numbers do not depend on what else the machine does; times do.
What records.npz beside this file holds is not trained again, so a new row alone is; to make all anew, move that file away first. `--pack`
writes what is there into it.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from records import FILE, TaskRecords, at_length, load, pack, whole_lines
from space import losses_of, rows
from tasks import TASKS, Task

from fallline._bench import Diverged, Workbench
from fallline._demands import judging
from fallline._judge import Judge, link_of, predict
from fallline._planning import length_of
from fallline._prior import _recipe, baseline, loss_part
from fallline._ranking import plain_loss
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, prepare
from fallline._step import Training, start
from fallline._verdict import Outputs, example_variance
from fallline.metrics import resolve

LOOKS = (0.02, *(k / 20 for k in range(1, 21)))  # shares of the length: as often as a race looks, and once before its first rung
AVERAGED = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of them, those at which averaged weights are judged too
BASELINES = 10  # seeds of AdamW's default: their spread is the noise of a seed, and races among them have nothing to find
REFERENCES = 5  # seeds of the recipe that is best on valid


def recorded_losses(task: str) -> list[Any]:
    """The losses of a task in the records: their order has made the ranking since, and must not change under them."""
    return list(load()[task].facts["losses"]) if FILE.exists() and task in load() else []


class Subject:
    """A task made ready once a process: its setting, losses and metrics."""

    def __init__(self, task: Task, data: Path, outputs: Path) -> None:
        self.task = task
        self.setting: Setting = prepare(task.open(data), seed=0)
        torch.set_num_threads(1)
        self.length = length_of(self.setting)
        self.losses = recorded_losses(task.name) or losses_of(self.setting.profile, self.setting.judge)
        self.judges: list[Judge] = [replace(self.setting.judge, metric=resolve(name, None)) for name in task.metrics]
        self.outputs = outputs / f"{task.name}.pt"
        self.shadow_decay = max(1 - 100 / self.length, 0.9)
        self._reference: Outputs | None = None

    def recipe(self, row: dict[str, Any] | None, seed: int) -> Recipe:
        problem, profile = self.setting.problem, self.setting.profile
        frame = Frame(self.length, seed, 20, 0)
        if row is None:
            return baseline(problem, profile, frame)
        name, settings = self.losses[row["loss"]]
        return _recipe(at_length(row, self.length), loss_part(name, profile, problem, settings), profile, frame)

    @property
    def reference(self) -> Outputs:
        """The outputs on audit of the first baseline, which all others are compared with."""
        if self._reference is None:
            link = link_of(self.recipe(None, 0), self.setting.problem)
            self._reference = Outputs(torch.load(self.outputs, weights_only=True).float(), link)
        return self._reference


def trained(subject: Subject, row: dict[str, Any] | None, seed: int) -> dict[str, Any]:
    """One training with its curves: a value for each look, each of valid and audit, each metric."""
    setting, recipe = subject.setting, subject.recipe(row, seed)
    bench = setting.bench_of(0, seed)
    training = start(bench, recipe, subject.shadow_decay)
    curves, mine = followed(subject, bench, training, LOOKS)
    found: dict[str, Any] = {
        "row": None if row is None else row["name"], "loss": recipe.loss.name, "seed": seed, "at": training.step,
        "recipe": recipe.to_dict(), **curves,
    }  # fmt: skip
    if mine is not None:
        if row is None and seed == 0:
            torch.save(mine.outputs.half(), subject.outputs)
        elif subject.outputs.exists():
            variance, df = example_variance(
                setting.judge, mine, subject.reference, bench.targets("audit"), units=None, resamples=200, seed=0
            )
            found["example_variance"] = [variance, df]
    return found


def followed(subject: Subject, bench: Workbench, training: Training, looks: Sequence[float]) -> tuple[dict[str, Any], Outputs | None]:
    """A training through the looks that are left: its curves, seconds and fault; and the outputs on audit that a race would hand back."""
    recipe, sign = training.recipe, subject.setting.judge.sign
    curves: dict[str, Any] = {"raw": [], "averaged": [], "fault": ""}
    kept: Outputs | None = None
    train_s, best = 0.0, math.inf
    try:
        for share in looks:
            began = time.perf_counter()
            training.run(max(round(share * subject.length), 1))
            train_s += time.perf_counter() - began
            values, audit = _judged(subject, bench, training, training.model, recipe)
            if not all(math.isfinite(value) for part in values for value in part):
                raise Diverged("a metric is not finite")
            curves["raw"].append(values)
            value = sign * values[0][0]
            if value < best or recipe.keep == "last":
                best, kept = value, audit
            if share in AVERAGED and training.shadow is not None:
                curves["averaged"].append(_judged(subject, bench, training, training.shadow.model, recipe)[0])
            if training.react is not None and share >= 0.05:
                training.look()
    except Diverged as error:
        curves["fault"], kept = str(error), None
    return {**curves, "train_s": round(train_s, 3)}, kept


def _judged(subject: Subject, bench: Workbench, training: Training, model: Any, recipe: Recipe) -> tuple[list[list[float]], Outputs]:
    """Metrics on valid and on audit, and the outputs on audit."""
    link, found = link_of(recipe, subject.setting.problem), []
    device = bench.device
    with judging(training.optimizer):
        for split in ("valid", "audit"):
            outputs, targets = predict(model, bench.data.sweep(split, device))
            found.append([float(judge.value(outputs, targets, link)) for judge in subject.judges])
    return found, Outputs(outputs, link)


def again(work: Path, tasks: list[Task]) -> Iterator[tuple[str, int, int]]:
    """The recipe of each task that is best on valid, on REFERENCES further seeds: what is left of that."""
    records = load()
    for seed in range(1, REFERENCES + 1):
        for task in tasks:
            place = records[task.name].best_on_valid % len(rows())
            known = [(entry["place"], entry["seed"]) for entry in read(work, task.name)]
            if (place, seed) not in [*known, *map(tuple, records[task.name].more.astype(int).tolist())]:
                yield task.name, place, seed


def wanted_rows(recipes: int) -> list[tuple[int, int]]:
    """Everything as (row, seed), row -1 the baseline: first one baseline, then a fair sample of the rows."""
    wanted = [(-1, 0), *((place, 0) for place in range(min(20, recipes)))]
    wanted += [(-1, seed) for seed in range(1, BASELINES)]
    return wanted + [(place, 0) for place in range(20, recipes)]


def renewed_rows(optimizer: str) -> list[tuple[int, int]]:
    """The rows of one optimizer, after the baseline whose outputs they are compared with."""
    return [(-1, 0), *((place, 0) for place, row in enumerate(rows()) if row["optimizer"]["name"] == optimizer)]


def packed(known: TaskRecords, work: Path) -> set[tuple[int, int]]:
    """What records.npz holds of a task, as (row, seed); the first baseline only where its outputs are there to be compared with."""
    now = rows()
    found = {(place, 0) for place, row in enumerate(known.rows) if known.recorded[place] and row == now[place]}
    found |= {(-1, seed) for seed, there in enumerate(np.isfinite(known.base_seconds)) if there}
    return found if (work / f"{known.name}.pt").exists() else found - {(-1, 0)}


def jobs(work: Path, tasks: list[Task], wanted: list[tuple[int, int]], *, anew: bool = False) -> Iterator[tuple[str, int, int]]:
    """What is left, as (task, row, seed), round all tasks, so that any stop is even; `anew`: what is packed is trained again."""
    done = {task.name: {(entry["place"], entry["seed"]) for entry in read(work, task.name)} for task in tasks}
    held = load() if FILE.exists() and not anew else {}
    done |= {name: done[name] | packed(held[name], work) for name in done if name in held}
    for place, seed in wanted:
        yield from ((task.name, place, seed) for task in tasks if (place, seed) not in done[task.name])


def read(work: Path, task: str) -> list[dict[str, Any]]:
    """What was recorded of a task; a line cut short by a kill does not count."""
    return [json.loads(line) for line in whole_lines(work / f"{task}.jsonl")]


_SUBJECTS: dict[str, Subject] = {}


def _one(job: tuple[str, int, int, str, str]) -> dict[str, Any]:
    name, place, seed, data, work = job
    torch.set_num_threads(1)
    if name not in _SUBJECTS:
        _SUBJECTS[name] = Subject(next(task for task in TASKS if task.name == name), Path(data), Path(work))
    found = trained(_SUBJECTS[name], None if place < 0 else rows()[place], seed)
    return {"task": name, "place": place, **found}


def record(data: Path, work: Path, wanted: Iterator[tuple[str, int, int]], workers: int, minutes: float) -> None:
    """Train what is wanted and write a line for each."""
    work.mkdir(parents=True, exist_ok=True)
    began, count = time.monotonic(), 0
    left = [(*job, str(data), str(work)) for job in wanted]
    context = multiprocessing.get_context("forkserver")
    first = [job for job in left if job[1:3] == (-1, 0)]
    for part in (first, [job for job in left if job[1:3] != (-1, 0)]):
        with context.Pool(workers) as pool:
            for found in pool.imap_unordered(_one, part):
                with (work / f"{found['task']}.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
                count += 1
                if count % 50 == 0:
                    print(f"{count} of {len(left)} trainings, {(time.monotonic() - began) / 60:.1f} min", flush=True)
                if time.monotonic() - began > 60 * minutes:
                    pool.terminate()
                    print(f"stopped after {count} of {len(left)} trainings; run it again to go on")
                    return


def facts_of(task: Task, data: Path, work: Path) -> dict[str, Any]:
    """What the readers of the records must know of a task; kept in the work folder, since opening it takes seconds."""
    path = work / f"{task.name}.facts.json"
    if not path.exists():
        subject = Subject(task, data, work)
        profile, judge = subject.setting.profile, subject.setting.judge
        keep = subject.recipe(rows()[0], 0).keep
        known = {
            "family": task.family, "metrics": list(task.metrics), "direction": judge.metric.direction, "task": profile.task,
            "length": subject.length, "passes": profile.passes, "model_kind": profile.model_kind, "keep": keep, "rows": profile.rows,
            "valid_rows": profile.valid_rows, "audit_rows": profile.audit_rows, "batch_size": profile.batch_size,
            "parameters": profile.parameters, "fan_in": round(profile.fan_in, 1),
            "normalisation": list(profile.normalisation), "label_noise": profile.label_noise,
            "losses": subject.losses, "plain_loss": plain_loss(profile), "steps_per_epoch": subject.setting.steps_per_epoch,
        }  # fmt: skip
        path.write_text(json.dumps(known), encoding="utf-8")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pack", action="store_true", help="write what was recorded into records.npz, and train nothing")
    parser.add_argument("--again", action="store_true", help="after --pack: the best recipe of each task on further seeds")
    parser.add_argument("--renew", metavar="OPTIMIZER", default="", help="train its rows again")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--recipes", type=int, default=len(rows()))
    args = parser.parse_args()
    tasks = [task for task in TASKS if not args.only or task.name in args.only]
    if args.pack:
        pack(args.work, {task.name: facts_of(task, args.data, args.work) for task in tasks}, rows(), LOOKS, AVERAGED, BASELINES)
        return
    np.seterr(all="ignore")
    every = renewed_rows(args.renew) if args.renew else wanted_rows(args.recipes)
    wanted = again(args.work, tasks) if args.again else jobs(args.work, tasks, every, anew=bool(args.renew))
    record(args.data, args.work, wanted, args.workers, args.minutes)


if __name__ == "__main__":
    main()
