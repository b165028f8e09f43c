"""Branches: what records of whole trainings cannot say. From rung one on, every recipe cooled down, and the leaders at another lr.

Run: python benchmarks/price/branches.py DATA_FOLDER WORK_FOLDER [--minutes 90] [--workers 2] [--only TASK ...]
     the same with --pack
Killed at any time, it goes on where it was. After `record.py`; `--pack` writes branches.npz beside this file, which `branched.py` reads.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from branched import COOLED, FACTORS, FILE
from record import AVERAGED, LOOKS, Subject, followed
from records import FIRST_BLOCK, TaskRecords, load, whole_lines
from replayed import Rules, standing
from space import rows
from tasks import TASKS

from fallline import catalogue
from fallline._bench import Diverged
from fallline._demands import judging
from fallline._judge import link_of, predict
from fallline._recipe import Cooldown, LrChange
from fallline._step import start

RUNG = Rules().rung
LEADERS = 6  # a task: those with the best standing at rung one, which any plan's list may lead with


def leaders(task: TaskRecords) -> list[int]:
    """The rows that lead at rung one among what everybody can train with the task's first loss, best first."""
    free = [k for k, row in enumerate(task.rows) if not row["loss"] and not catalogue.optimizer(row["optimizer"]["name"]).package]
    places = {place: standing(task, place, RUNG, "standing") for place in free}
    return sorted((place for place in free if np.isfinite(places[place])), key=lambda place: (places[place], place))[:LEADERS]


def branched(subject: Subject, row: dict[str, Any], factors: Sequence[float]) -> dict[str, Any]:
    """One recipe to rung one; from there its cooldowns, judged on valid, and its children of other lrs to the end with their curves."""
    recipe, setting = subject.recipe(row, 0), subject.setting
    bench = setting.bench_of(0, 0)
    first = max(round(RUNG * subject.length), 1)
    link = link_of(recipe, setting.problem)
    found: dict[str, Any] = {"cooled": [], "children": []}
    parent = start(bench, recipe, subject.shadow_decay)
    try:
        parent.run(first)
    except Diverged:
        return found
    state = parent.state()
    for share in COOLED:
        steps = max(round(share * subject.length), 1)
        cooled = start(bench, replace(recipe, cooldown=Cooldown(first, steps)), None)
        cooled.restore(state)
        try:
            cooled.run(first + steps)
            with judging(cooled.optimizer):
                outputs, targets = predict(cooled.model, bench.data.sweep("valid", bench.device))
            found["cooled"].append(float(setting.judge.value(outputs, targets, link)))
        except Diverged:
            found["cooled"].append(float("nan"))
    for factor in factors:
        child = start(bench, replace(recipe, lr_change=LrChange(first, factor)), subject.shadow_decay)
        child.restore(state)
        curves, _ = followed(subject, bench, child, [share for share in LOOKS if share > RUNG])
        found["children"].append({"factor": factor, **curves})
    return found


_SUBJECTS: dict[str, Subject] = {}


def _one(job: tuple[str, int, tuple[float, ...], str, str]) -> dict[str, Any]:
    name, place, factors, data, work = job
    torch.set_num_threads(1)
    if name not in _SUBJECTS:
        _SUBJECTS[name] = Subject(next(task for task in TASKS if task.name == name), Path(data), Path(work))
    return {"task": name, "place": place, **branched(_SUBJECTS[name], rows()[place], factors)}


def path_of(work: Path, task: str) -> Path:
    return work / f"{task}.branches.jsonl"


def record(data: Path, work: Path, names: Sequence[str], workers: int, minutes: float) -> None:
    """Train what is left and write a line for each, the leaders of all tasks first."""
    records, jobs = load(rows=FIRST_BLOCK), []
    for name in names:
        done = {json.loads(line)["place"] for line in whole_lines(path_of(work, name))}
        first = leaders(records[name])
        for place in range(FIRST_BLOCK):
            if place not in done:
                turn = first.index(place) if place in first else LEADERS + place
                jobs.append((turn, (name, place, FACTORS if place in first else (), str(data), str(work))))
    left = [job for _, job in sorted(jobs, key=lambda job: job[0])]
    began = time.monotonic()
    with multiprocessing.get_context("forkserver").Pool(workers) as pool:
        for count, found in enumerate(pool.imap_unordered(_one, left), 1):
            with path_of(work, found["task"]).open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            minute = (time.monotonic() - began) / 60
            if count % 50 == 0:
                print(f"{count} of {len(left)} recipes, {minute:.1f} min", flush=True)
            if minute > minutes:
                pool.terminate()
                print(f"stopped after {count} of {len(left)} recipes; run it again to go on")
                return


def pack(work: Path, names: Sequence[str]) -> None:
    """Write what was recorded into branches.npz; a task that was not recorded stays as it was there."""
    arrays = dict(np.load(FILE)) if FILE.exists() else {}
    records = load(rows=FIRST_BLOCK)
    for name in names:
        lines = [json.loads(line) for line in whole_lines(path_of(work, name))]
        if not lines:
            continue
        cooled = np.full((FIRST_BLOCK, len(COOLED)), np.nan, dtype=np.float32)
        children, raw, averaged = [], [], []
        metrics = len(records[name].facts["metrics"])
        late, late_averaged = (sum(share > RUNG for share in looks) for looks in (LOOKS, AVERAGED))
        for line in lines:
            if line["cooled"]:
                cooled[line["place"]] = line["cooled"]
            for child in line["children"]:
                children.append((line["place"], child["factor"]))
                for curves, kind, looks in ((raw, "raw", late), (averaged, "averaged", late_averaged)):
                    curve = np.full((looks, 2, metrics), np.nan, dtype=np.float32)
                    if child[kind]:
                        curve[: len(child[kind])] = child[kind]
                    curves.append(curve)
        arrays |= {f"{name}.cooled": cooled, f"{name}.children": np.array(children)}
        arrays |= {f"{name}.raw": np.array(raw), f"{name}.averaged": np.array(averaged)}
    np.savez_compressed(FILE, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--pack", action="store_true", help="write what was recorded into branches.npz, and train nothing")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[])
    args = parser.parse_args()
    np.seterr(all="ignore")
    names = [task.name for task in TASKS if not args.only or task.name in args.only]
    if args.pack:
        pack(args.work, names)
    else:
        record(args.data, args.work, names, args.workers, args.minutes)


if __name__ == "__main__":
    main()
