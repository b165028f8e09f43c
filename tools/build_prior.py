"""Learn the portfolio from the records: for each kind of model an ordered list of recipes, and what it is worth on families not seen.

Run: python tools/build_prior.py [--write] [--size 8]
Without `--write` it only prints. The list is greedy: each next recipe is the one that lowers most the mean, over tasks, of the best regret
in the list so far (Metz et al., arXiv:2002.11887; Feurer et al., arXiv:2007.04074), tasks of the same kind of model counting more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks" / "price"))

from records import AUDIT, VALID, TaskRecords, load  # noqa: E402  (it lies beside the benchmarks)

Floats = NDArray[np.float64]
KINDS = ("mlp", "cnn", "recurrent", "transformer")
SAME_KIND = 3.0  # a task of the same kind of model weighs so much more: four kinds, so that it still has under half of all weight
WORST = 2.0  # regrets are cut here: how far beyond the default a bad recipe lands says nothing about a good one
BEST_OF = 3  # the best is the mean of the three best, so that one lucky training does not set the scale
SEEDS_APART = 2.0  # a gap between default and best below so many deviations of a seed counts as that many


@dataclass(frozen=True)
class Scores:
    """Regret of every recipe on every task: 0 = as good as the best recorded, 1 = as AdamW's default."""

    tasks: tuple[str, ...]
    kinds: tuple[str, ...]
    families: tuple[str, ...]
    regret: Floats  # (tasks, recipes)
    cost: Floats  # (recipes,) seconds of a training over those of AdamW's default, median over tasks


def scores(records: Mapping[str, TaskRecords]) -> Scores:
    """Regrets as the mean of those on valid and on audit: two looks at the same training are less noisy than one."""
    regrets = []
    for task in records.values():
        both = []
        for split in (VALID, AUDIT):
            values = task.finals[:, split]
            best = float(np.sort(values[np.isfinite(values)])[:BEST_OF].mean())
            base = task.default[:, split]
            base = base[np.isfinite(base)]
            gap = max(float(base.mean()) - best, SEEDS_APART * float(base.std(ddof=1)) if len(base) > 1 else 0.0, 1e-12)
            both.append(np.where(np.isfinite(values), (values - best) / gap, WORST))
        regrets.append(np.clip(np.mean(both, axis=0), 0.0, WORST))
    some = next(iter(records.values()))
    return Scores(
        tasks=tuple(records),
        kinds=tuple(str(task.facts["model_kind"]) for task in records.values()),
        families=tuple(str(task.facts["family"]) for task in records.values()),
        regret=np.array(regrets),
        cost=np.ones(some.count),
    )


def portfolio(known: Scores, kind: str, size: int, among: Sequence[int], patience: float = 0.0) -> list[int]:
    """The greedy list for one kind of model, over the recipes `among`. `patience`: regret that one training's more cost may buy."""
    weights = np.array([SAME_KIND if other == kind else 1.0 for other in known.kinds])
    weights /= weights.sum()
    chosen: list[int] = []
    best = np.full(len(known.tasks), WORST)
    for _ in range(size):
        gains = {
            recipe: float(weights @ np.minimum(best, known.regret[:, recipe])) + patience * known.cost[recipe]
            for recipe in among
            if recipe not in chosen
        }
        chosen.append(min(gains, key=lambda recipe: (gains[recipe], recipe)))
        best = np.minimum(best, known.regret[:, chosen[-1]])
    return chosen


def without(known: Scores, hidden: Sequence[int]) -> Scores:
    """The scores without some tasks."""
    kept = [number for number in range(len(known.tasks)) if number not in hidden]
    return Scores(
        tuple(known.tasks[k] for k in kept),
        tuple(known.kinds[k] for k in kept),
        tuple(known.families[k] for k in kept),
        known.regret[kept],
        known.cost,
    )


def first_losses(records: Mapping[str, TaskRecords]) -> list[int]:
    """The recipes with the first loss of each task: what a portfolio is made of; losses are ranked by the profile, not by it."""
    some = next(iter(records.values()))
    firsts = [number for number, row in enumerate(some.rows) if row["loss"] == 0 and row["optimizer"]["name"] not in NEEDS_EXTRA]
    return [*firsts, *(number + len(some.rows) for number in firsts if some.rows[number]["optimizer"]["name"] != "schedule_free_adamw")]


NEEDS_EXTRA = ("lion", "soap", "adan", "schedule_free_adamw")  # of the package pytorch_optimizer, which not everybody installs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true", help="write portfolio.toml")
    parser.add_argument("--size", type=int, default=8)
    args = parser.parse_args()
    records = load()
    known, among = scores(records), first_losses(records)
    some = next(iter(records.values()))
    for kind in KINDS:
        chosen = portfolio(known, kind, args.size, among)
        reached = [float(np.minimum.reduce(known.regret[:, chosen[: n + 1]], axis=1).mean()) for n in range(len(chosen))]
        print(f"{kind}:")
        for recipe, regret in zip(chosen, reached, strict=True):
            print(f"  {some.name_of(recipe):32s} alone {known.regret[:, recipe].mean():.3f}, list so far {regret:.3f}")


if __name__ == "__main__":
    main()
