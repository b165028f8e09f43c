"""What branches are worth to the race: a cooldown before rung one judges, and the leader also at another lr.

Run: python benchmarks/price/branching.py [--lists 16]
Columns: mean regret over lists and tasks, as in ablation.py, and mean price; first with the family held out, then with only the task.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

from ablation import lists, measured
from branched import COOLED, FACTORS, branched
from records import FIRST_BLOCK, load
from replayed import PLANS, Rules
from scale import scale


def variants() -> Iterator[tuple[str, Rules]]:
    for price in (3.5, 8.0, 20.0):
        rules = PLANS[price]
        yield f"plan {price:g}: as it is", rules
        for share in COOLED:
            yield f"plan {price:g}: rung one judged after a cooldown of {share:.0%}", replace(rules, judged=f"cooled {share}")
        for factor, said in zip(FACTORS, ("a third of", "three times"), strict=True):
            yield f"plan {price:g}: the leader also with {said} its lr", replace(rules, child=factor)
            yield f"plan {price:g}: the same in the place of the last that goes on", replace(rules, child=factor, child_instead=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lists", type=int, default=16)
    args = parser.parse_args()
    records = load(rows=FIRST_BLOCK)
    tasks = branched(records)
    orders = [lists(records, args.lists, [], family=family) for family in (True, False)]
    scales = {name: scale(records[name]) for name in tasks}
    print(f"{len(tasks)} tasks, {sum(s.shown for s in scales.values())} with a gap\n")
    print("| policy | mean regret | price | only the task held out | price |\n|---|---|---|---|---|")
    for name, rules in variants():
        cells = []
        for order in orders:
            found = measured(dict(tasks), rules, order, scales)
            cells += [f"{found.regret:.3f}", f"{found.price:.2f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
