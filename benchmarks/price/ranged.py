"""The peer that searches nothing: AdamW with warm-up and cosine decay, its lr from one lr range test, the task's plain loss.

The test is Smith's (arXiv:1506.01186) as fastai's `lr_find` has it: 100 updates, lr grown exponentially from 1e-7 to 10, losses smoothed.
Of its rules the peer has the one that serves it best on the records, a tenth of the lr of least loss. `ranges.py` runs the tests and
writes ranges.json; here an lr is read from a test, and the peer is replayed by the nearest recipe that was trained.

Run: python benchmarks/price/ranged.py
prints what each rule would reach on the records.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from curve import Curve
from records import AUDIT, Floats, TaskRecords, load
from scale import scale

from fallline._portfolio import WORST

FILE = Path(__file__).with_name("ranges.json")
STEPS = 100  # fastai's num_it, Lightning's num_training
LOWEST, HIGHEST = 1e-7, 10.0  # fastai's start_lr and end_lr; Lightning's Tuner.lr_find has 1e-8 and 1
SMOOTHED = 0.98  # both smooth so
DIVERGED = 4.0  # both stop where the smoothed loss is so many times its least
SKIPPED = (10, 5)  # readings that fastai leaves out at the beginning and at the end; Lightning 10 and 1
WITHIN = (3e-4, 4e-2)  # the range of AdamW's lr in space.toml: a suggestion far outside, as noise makes them, is taken as its end
SEEDS = 5  # tests a task, each from other weights and batches: as many as a peer of report.py has seeds
WARMUP = 0.05  # share of the length; the recorded rows of this kind have 0.02 to 0.1
OTHERWISE = 1e-3  # AdamW's default, where a test broke off before it could suggest anything


def rates() -> list[float]:
    """The lr of each update."""
    return [LOWEST * (HIGHEST / LOWEST) ** (k / (STEPS - 1)) for k in range(STEPS)]


def smoothed(losses: Sequence[float]) -> list[float]:
    """The running mean of the losses, free of its beginning at zero."""
    found, mean = [], 0.0
    for k, loss in enumerate(losses, start=1):
        mean = SMOOTHED * mean + (1 - SMOOTHED) * loss
        found.append(mean / (1 - SMOOTHED**k))
    return found


def _least(lrs: Floats, losses: Floats) -> float:
    return float(lrs[int(np.argmin(losses))]) / 10


def _steepest(lrs: Floats, losses: Floats) -> float:
    return float(lrs[int(np.argmin(np.gradient(losses, np.log(lrs))))])


def _valley(lrs: Floats, losses: Floats) -> float:
    """Half of the way through the longest falling subsequence, as fastai counts it back from where that ends."""
    length = np.ones(len(losses), dtype=int)
    for k in range(1, len(losses)):
        length[k] += max((int(length[j]) for j in range(k) if losses[j] > losses[k]), default=0)
    end = int(np.argmax(length))
    begin = end - int(length[end])
    third = (end - begin) / 3
    return float(lrs[max(begin + int(third) + int(third / 2), 0)])


RULES: Mapping[str, Callable[[Floats, Floats], float]] = {
    "a tenth of the lr of least loss": _least,  # fastai's `minimum`
    "steepest descent": _steepest,  # fastai's `steep`, and Lightning's until #21055 took the slope by lr itself
    "valley": _valley,  # fastai's default
}
RULE = "a tenth of the lr of least loss"


def suggestion(lrs: Sequence[float], losses: Sequence[float], rule: str = RULE) -> float:
    """The lr that a test suggests by a rule."""
    begin, end = SKIPPED
    lr, loss = np.array(lrs)[begin : len(lrs) - end], np.array(smoothed(losses))[begin : len(lrs) - end]
    lr, loss = lr[np.isfinite(loss)], loss[np.isfinite(loss)]
    return RULES[rule](lr, loss) if len(lr) > 1 else OTHERWISE


def within(lr: float) -> float:
    """The lr, or the nearest that the space has."""
    return min(max(lr, WITHIN[0]), WITHIN[1])


@cache
def suggested() -> dict[str, dict[str, list[float]]]:
    """What is in ranges.json: task -> rule -> an lr a seed, as the test gave it."""
    found: dict[str, dict[str, list[float]]] = json.loads(FILE.read_text(encoding="utf-8"))["suggested"]
    return found


def like_it(task: TaskRecords) -> list[int]:
    """The recorded recipes it may be replayed by: AdamW with cosine decay after a warm-up, raw weights, the task's first loss."""
    return [
        place
        for place, row in enumerate(task.rows)
        if row["optimizer"]["name"] == "adamw" and row["schedule"]["name"] == "cosine" and row["schedule"].get("warmup") and not row["loss"]
    ]


def away(task: TaskRecords, recipe: int, lr: float) -> float:
    """Decades between the lr of a recipe and another."""
    return abs(math.log10(task.lr_of(recipe) / lr))


def nearest(task: TaskRecords, lr: float) -> int:
    """The recipe like it whose lr is nearest."""
    return min(like_it(task), key=lambda recipe: (away(task, recipe, lr), recipe))


def replayed(task: TaskRecords, seed: int) -> Curve:
    """The range test, then one training; with more to spend it has no more to do."""
    lrs, curve = suggested()[task.name][RULE], Curve(task)
    recipe = nearest(task, lrs[seed % len(lrs)])
    tested = STEPS / float(task.facts["length"])
    for look in range(1, 21):
        curve.spent = tested + look / 20
        curve.seen(recipe, look / 20)
        curve.mark()
    return curve


def main() -> None:
    records = {name: task for name, task in load().items() if scale(task).shown}
    print("| rule | mean regret | decades to the nearest recipe, mean | at most | suggestions outside the space |\n|---|---|---|---|---|")
    for rule in RULES:
        lrs = [(task, lr) for task in records.values() for lr in suggested()[task.name][rule]]
        regrets = [scale(task).regret(float(task.finals[nearest(task, lr), AUDIT])) for task, lr in lrs]
        far = [away(task, nearest(task, lr), within(lr)) for task, lr in lrs]
        outside = np.mean([within(lr) != lr for _, lr in lrs])
        print(f"| {rule} | {np.mean(np.clip(regrets, -1, WORST)):.3f} | {np.mean(far):.2f} | {max(far):.2f} | {outside:.0%} |")


if __name__ == "__main__":
    main()
