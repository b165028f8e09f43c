"""Whether a race may leave out its further seeds where the gain on valid is far beyond the noise that it assumes.

Run: python benchmarks/price/early.py [--races 300]
Races are drawn from recorded seeds, as in seeds.py. Each is asked what it says on audit when the noise of a seed is assumed, and what
when it is measured on two seeds of the baseline and two of the winner; and whether the difference on valid, with the noise assumed,
excludes zero at a confidence at which a race could stop. What counts is how often those that stop would have said something else.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from null import noise_of
from prior import known, unseen
from records import AUDIT, VALID, Floats, TaskRecords, load

from fallline import _statistics as statistics
from fallline._portfolio import Facts
from fallline._verdict import CONFIDENCE, SeedNoise, measured_noise

FINALISTS = 4
CONFIDENCES = (0.99, 0.999, 0.9999)


class Race(NamedTuple):
    """A baseline and its twin, the winner and another seed of it: (valid, audit) each, lower is better."""

    base: Floats
    twin: Floats
    winner: Floats
    again: Floats
    noise: SeedNoise | None  # assumed
    settles: bool


def nothing_to_find(task: TaskRecords, usual: float, generator: np.random.Generator) -> Race | None:
    """The winner is the best on valid of the default and four more of its seeds; None where that is the baseline itself."""
    base, twin, *others = (int(k) for k in generator.permutation(np.flatnonzero(np.isfinite(task.default[:, VALID]))))
    winner = min([base, *others[:FINALISTS]], key=lambda k: float(task.default[k, VALID]))
    if winner == base:
        return None
    again = next(k for k in others if k != winner)
    held = (task.default[k] for k in (base, twin, winner, again))
    return Race(*held, noise_of(task, base, twin, 0.1, usual), settles=False)


def the_best(task: TaskRecords, usual: float, generator: np.random.Generator) -> Race:
    """The winner is a seed of the best recipe of the task."""
    base, twin = (int(k) for k in generator.permutation(np.flatnonzero(np.isfinite(task.default[:, VALID])))[:2])
    mine = generator.permutation(task.reference)[:2]
    return Race(task.default[base], task.default[twin], *mine, noise_of(task, base, twin, 0.1, usual), settles=True)


def better(task: TaskRecords, race: Race, split: int, noise: SeedNoise, confidence: float) -> bool:
    """Whether the interval of the difference on a split excludes zero on the good side."""
    rows = float(task.facts["audit_rows"] if split == AUDIT else task.facts["valid_rows"])
    examples = float(np.nanmedian(task.base_variance)) * float(task.facts["audit_rows"]) / rows
    variance, df = statistics.combine(examples, rows - 1, noise.of_difference(settles=race.settles and noise.assumed), noise.df)
    return statistics.two_sided(float(race.winner[split] - race.base[split]), variance, df, confidence)[1] < 0


def told(task: TaskRecords, race: Race) -> tuple[bool, bool, list[bool]]:
    """Whether "better" is said with the noise assumed, and with it measured; and at which confidences a race would have stopped."""
    groups = [[race.base[AUDIT], race.twin[AUDIT]], [race.winner[AUDIT], race.again[AUDIT]]]
    measured = measured_noise(groups, 2)
    assert measured is not None
    assumed = race.noise or measured
    stops = [better(task, race, VALID, assumed, confidence) for confidence in CONFIDENCES]
    return better(task, race, AUDIT, assumed, CONFIDENCE), better(task, race, AUDIT, measured, CONFIDENCE), stops


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--races", type=int, default=300, help="a task")
    args = parser.parse_args()
    records, generator = load(), np.random.default_rng(0)
    whole = known(records)
    print('| winner | confidence on valid | would stop | "better", assumed | "better", measured |\n|---|---|---|---|---|')
    for kind, drawn in (("a seed of the default", nothing_to_find), ("the best recipe", the_best)):
        found: list[tuple[bool, bool, Sequence[bool]]] = []
        count = 0
        for name, task in records.items():
            facts = task.facts
            usual, _ = unseen(records, whole, name).seed_noise(Facts.read(facts), facts["metrics"][0], str(facts["direction"]))
            for _ in range(args.races):
                count += 1
                race = drawn(task, usual, generator)
                if race is not None:
                    found.append(told(task, race))
        every = [assumed for assumed, _, _ in found], [measured for _, measured, _ in found]
        print(f"| {kind} | all races | - | {sum(every[0]) / count:.1%} | {sum(every[1]) / count:.1%} |")
        for place, confidence in enumerate(CONFIDENCES):
            stopped = [(assumed, measured) for assumed, measured, stops in found if stops[place]]
            says = [f"{np.mean([pair[k] for pair in stopped]):.1%}" if stopped else "-" for k in (0, 1)]
            print(f"| {kind} | {confidence:.2%} | {len(stopped) / count:.1%} | {says[0]} | {says[1]} |")


if __name__ == "__main__":
    main()
