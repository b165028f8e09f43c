"""What knowing the length is worth: races by lists of recipes whose lrs are the same for every task, and by lists of others that move.

Run: python benchmarks/price/lengths.py [--lists 16]
The first block of space.toml beside the second; columns as in ablation.py. The second was drawn around the lrs that were best in the first,
so part of its gain is that its recipes lie closer; `both` may take from either.
"""

from __future__ import annotations

import argparse
from unittest import mock

import ablation
from ablation import lists, measured
from prior import eligible
from records import FIRST_BLOCK, load
from replayed import PLANS
from scale import scale


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=16)
    args = parser.parse_args()
    records = load()
    scales = {name: scale(task) for name, task in records.items()}
    fixed = eligible(load(rows=FIRST_BLOCK))
    count = len(next(iter(records.values())).rows)
    first = [recipe % FIRST_BLOCK + count * (recipe // FIRST_BLOCK) for recipe in fixed]
    second = eligible(records)
    print("| recipes | plan | mean regret | only the task held out | on clear tasks | only the task held out |\n|---|---|---|---|---|---|")
    for name, among in (("first block", first), ("second block", second), ("both", [*first, *second])):
        with mock.patch.object(ablation, "eligible", return_value=among):
            apart, alone = (lists(records, args.lists, [], family=family) for family in (True, False))
        for price, rules in PLANS.items():
            far, near = (measured(records, rules, orders, scales) for orders in (apart, alone))
            cells = (f"{value:.3f}" for value in (far.regret, near.regret, far.clear, near.clear))
            print(f"| {name} | {price:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
