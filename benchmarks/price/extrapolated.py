"""Whether a curve model helps: rungs judged by where the looks so far point, instead of by where they stand.

Run: python benchmarks/price/extrapolated.py [--lists 16]
A line over log steps, and a power law, are fitted to a candidate's looks from 2 % of the length up to the rung. What it stands at is
moved by a share of what the fit still promises up to the end (a tenth to all of it), never for the worse.
"""

from __future__ import annotations

import argparse
from unittest import mock

import numpy as np
import replayed
from ablation import DEFAULT, lists, measured
from records import VALID, TaskRecords, load
from scale import scale

SHARES = (0.1, 0.25, 0.5, 1.0)
FIRST_LOOK = 0.02
LAST_VALUE = replayed.standing


def pointed(task: TaskRecords, recipe: int, share: float, model: str, part: float) -> float:
    """Where a candidate stands at a share of the length, moved by `part` of what its curve promises."""
    stands = LAST_VALUE(task, recipe, share, "standing")
    averaged = recipe >= len(task.rows) or not task.keeps_best  # as the product judges
    looks = task.averaged_looks if averaged else task.looks
    seen = (looks <= share + 1e-9) & (looks >= FIRST_LOOK - 1e-9)
    values = task.sign * (task.averaged if averaged else task.raw)[recipe % len(task.rows), seen, VALID, 0]
    if len(values) < 2 or not np.isfinite(values).all() or not np.isfinite(stands) or (model == "power" and (values <= 0).any()):
        return stands
    steps = np.log(looks[seen])
    slope = min(float(np.polyfit(steps, np.log(values) if model == "power" else values, 1)[0]), 0.0)
    ahead = part * slope * -float(steps[-1])
    return float(stands * np.exp(ahead)) if model == "power" else stands + ahead


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=16)
    args = parser.parse_args()
    records = load()
    apart, alone = (lists(records, args.lists, [], family=family) for family in (True, False))
    scales = {name: scale(task) for name, task in records.items()}
    print("| plan | judged by | mean regret | only the task held out |\n|---|---|---|---|")
    for plan, rules in ((3.5, DEFAULT), (8.0, replayed.PLANS[8.0])):
        for model, part in [("", 0.0), *((model, part) for model in ("line", "power") for part in SHARES)]:

            def judged(task: TaskRecords, recipe: int, share: float, _: str, model: str = model, part: float = part) -> float:
                return pointed(task, recipe, share, model, part)

            with mock.patch.object(replayed, "standing", judged if model else LAST_VALUE):
                found = [measured(records, rules, orders, scales).regret for orders in (apart, alone)]
            said = f"{part:.0%} of what a {model} promises" if model else "where it stands"
            print(f"| {plan:g} | {said} | {found[0]:.3f} | {found[1]:.3f} |", flush=True)


if __name__ == "__main__":
    main()
