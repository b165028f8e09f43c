"""Races with nothing to find, live: `choose` at price 3.5, all candidates the baseline's own recipe under other seeds.

Run: python benchmarks/price/null_live.py DATA_FOLDER CELLS.jsonl [--races 20]
     python benchmarks/price/null_live.py --table CELLS.jsonl
Killed at any time, it goes on where it was. Races go round the tasks, each with seeds of its own. A race is the product's in all but its
candidates: the plan it would make, with as many candidates as that has. Seed noise is assumed from the other families of tasks.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cells import Cells
from prior import eligible, known, strange_to
from records import load
from scipy.stats import binomtest
from tasks import TASKS

import fallline
from fallline._constraints import Constraints
from fallline._plan import Plan
from fallline._planning import make_plan
from fallline._prior import Candidate
from fallline._setting import prepare

PRICE = 3.5
FIRST = 1000  # beyond the seeds of the records, which noise was learned from
APART = 10  # seeds a race may use: the baseline's, its second, one a candidate


def nothing_to_find(plan: Plan) -> Plan:
    """The plan with the baseline under other seeds in the place of its candidates; the seed after its own is its second seed's."""
    seeds = range(plan.seed + 2, plan.seed + 2 + len(plan.candidates))
    entered = [Candidate(f"seed-{seed}", replace(plan.baseline, seed=seed), "the baseline under another seed") for seed in seeds]
    return replace(plan, candidates=tuple(entered))


def record(data: Path, races: int, cells: Cells) -> None:
    records = load()
    whole, among = known(records), eligible(records)
    for race in range(races):
        task, seed = TASKS[race % len(TASKS)], FIRST + APART * race
        if cells.has(race=race):
            continue
        problem = task.open(data)
        with strange_to(records, whole, task.name, among), tempfile.TemporaryDirectory() as folder:
            plan = make_plan(prepare(problem, seed=seed), price=PRICE, seed=seed, constraints=Constraints())
            verdict = fallline.choose(problem, plan=nothing_to_find(plan), out=Path(folder) / "run")
        facts = verdict.document["verdict"]
        kept = {key: facts[key] for key in ("winner", "metric", "baseline", "difference", "interval", "covers", "overruled")}
        cells.add({"race": race, "task": task.name, "seed": seed, "status": verdict.status, **kept, "cost": verdict.document["cost"]})
        print(f"race {race + 1} of {races}: {task.name}, {verdict.status}", flush=True)


def table(cells: Sequence[dict[str, Any]]) -> None:
    """What each race said, and how often it was "better", with an exact interval."""
    print("| task | seed | verdict | winner on valid | difference on audit | interval |\n|---|---|---|---|---|---|")
    for cell in cells:
        low, high = (f"{bound:.3g}" if bound is not None else "open" for bound in cell["interval"])
        difference = "" if cell["difference"] is None else f"{cell['difference']:.3g}"
        print(f"| {cell['task']} | {cell['seed']} | {cell['status']} | {cell['winner']} | {difference} | {low} to {high} |")
    said = Counter(cell["status"] for cell in cells)
    print(f"\n{len(cells)} races on {len({cell['task'] for cell in cells})} tasks", end="")
    print(f"; overruled by audit: {sum(cell['overruled'] for cell in cells)}\n")
    for status in ("better", "worse"):
        bounds = binomtest(said[status], len(cells)).proportion_ci(0.95, method="exact")
        print(f"{status}: {said[status]} of {len(cells)}, 95 % interval {bounds.low:.1%} to {bounds.high:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("cells", type=Path)
    parser.add_argument("--table", action="store_true", help="print what is there and race nothing")
    parser.add_argument("--races", type=int, default=20)
    args = parser.parse_args()
    cells = Cells(args.cells, ("race",))
    if args.table:
        table(sorted(cells.all, key=lambda cell: cell["race"]))
        return
    if args.data is None:
        parser.error("DATA_FOLDER is missing")
    record(args.data, args.races, cells)


if __name__ == "__main__":
    main()
