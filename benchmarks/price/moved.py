"""Whether moving the portfolio's lrs by length and width is worth it: races by `choose`, live, with and without.

Run: python benchmarks/price/moved.py DATA_FOLDER CELLS.jsonl [--seeds 2]; killed at any time, it goes on where it was
Four tasks that had no part in transfer.py: at a quarter and at four times the recorded batch size, epochs as they are; at half and at
four times the epochs; two also four times as wide. Without: lrs as for the recorded length and width of the task. Plan 2 on two lanes;
what counts is the metric on audit of what is handed back. The portfolio knows the tasks, as recorded, in both arms.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from cells import Cells
from records import load
from tasks import TASKS

import fallline
from fallline._portfolio import Portfolio
from fallline._problem import Problem
from fallline.doors.models.text import TextNet

WHERE = {"bike": (16, 256), "banking": (8, 128), "spam": (8, 128), "metro": (16, 256)}
WIDER = ("bike", "banking")
LONGER = (0.5, 4.0)
KEYS = ("task", "batch", "wider", "longer", "moved", "seed")
PRICE = 2.0


def wider(problem: Problem, name: str) -> Problem:
    """The problem with a network four times as wide."""
    if name == "bike":
        return replace(problem, model=partial(problem.model, width=512))
    made = problem.model()
    assert isinstance(made, TextNet)
    tokens, outputs = made.embedding.num_embeddings, 77
    return replace(problem, model=lambda: TextNet(tokens, outputs, width=128))


def jobs(seeds: int) -> Iterator[dict[str, Any]]:
    for seed in range(seeds):
        for name, batches in WHERE.items():
            places = [(batch, False, 1.0) for batch in batches]
            places += [(0, False, times) for times in LONGER]  # batch 0: as it was recorded
            places += [(0, True, 1.0)] if name in WIDER else []
            for batch, wide, times in places:
                for moved in (False, True):
                    yield {"task": name, "batch": batch, "wider": wide, "longer": times, "moved": moved, "seed": seed}


def raced(job: dict[str, Any], data: Path) -> dict[str, Any]:
    problem = next(task for task in TASKS if task.name == job["task"]).open(data)
    problem = replace(problem, batch_size=job["batch"] or problem.batch_size, epochs=max(round((problem.epochs or 1) * job["longer"]), 1))
    problem = wider(problem, job["task"]) if job["wider"] else problem
    facts, factors = load()[job["task"]].facts, Portfolio.lr_factors

    def as_recorded(held: Portfolio, kind: Any, steps: int, fan_in: float) -> dict[str, float]:
        return factors(held, kind, facts["length"], facts["fan_in"])

    chosen = factors if job["moved"] else as_recorded
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Portfolio, "lr_factors", chosen):
        found = fallline.choose(problem, price=PRICE, seed=job["seed"], out=Path(folder) / "run").document
    verdict = found["verdict"]
    return {**job, "metric": verdict["metric"], "baseline": verdict["baseline"], "direction": found["problem"]["direction"]}


def said(batch: int, wide: bool, times: float) -> str:
    """Where a race was."""
    if wide:
        return "four times as wide"
    return f"batches of {batch}" if batch else f"{times:g} times the epochs"


def table(cells: list[dict[str, Any]]) -> None:
    print("| task | where | AdamW's default | lrs as recorded | lrs moved | what moving gains, in the gap from the default to the best |")
    print("|---|---|---|---|---|---|")
    gains = []
    for name in WHERE:
        for place in sorted({(cell["batch"], cell["wider"], cell["longer"]) for cell in cells if cell["task"] == name}):
            mine = [cell for cell in cells if (cell["task"], cell["batch"], cell["wider"], cell["longer"]) == (name, *place)]
            by_seed = sorted(mine, key=lambda cell: int(cell["seed"]))
            plain, moved = ([cell["metric"] for cell in by_seed if cell["moved"] is which] for which in (False, True))
            base, sign = np.mean([cell["baseline"] for cell in mine]), 1 if mine[0]["direction"] == "min" else -1
            best = min(plain + moved, key=lambda value: sign * value)
            gain = float(np.mean([sign * (a - b) for a, b in zip(plain, moved, strict=True)])) / max(abs(base - best), 1e-12)
            gains.append(gain)
            print(f"| {name} | {said(*place)} | {base:.4g} | {np.mean(plain):.4g} | {np.mean(moved):.4g} | {gain:+.0%} |")
    print(f"\nmean {np.mean(gains):+.0%} ± {np.std(gains, ddof=1) / np.sqrt(len(gains)):.0%} over {len(gains)} places")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("cells", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    cells = Cells(args.cells, KEYS)
    for job in jobs(args.seeds):
        if not cells.has(**job):
            torch.set_num_threads(1)
            cells.add(raced(job, args.data))
    table(cells.all)


if __name__ == "__main__":
    main()
