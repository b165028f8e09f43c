"""The hints at losses, measured: on data of each nature the hinted loss does better than the plain one, or none is hinted at."""

from __future__ import annotations

import importlib
import math
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fallline
from fallline._judge import link_of
from fallline._planning import length_of
from fallline._prior import baseline, loss_part
from fallline._ranking import ranked_losses
from fallline._recipe import Frame
from fallline._setting import Setting, prepare, threads
from fallline._step import start

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the development data are not there")

# Recorded tasks by nature, and the hinted loss. What it gained there stands in `python benchmarks/price/hints.py`.
RIGHT = {
    "outliers, judged by MAE (house values)": ("california", "l1"),
    "many labels, each rare (GoEmotions)": ("emotions", "bce_weighted"),
    "classes of very unlike size (names)": ("names_gru", "cross_entropy_weighted"),
    "rare positives, judged by F1 (spam)": ("spam", "bce_weighted"),
    "overlapping classes, judged by accuracy (letters)": ("letter", "cross_entropy_smoothed"),
    "few images of look-alike classes (waste)": ("trashnet", "cross_entropy_smoothed"),
}
# and where the plain loss is the metric's own, so that no hint at another is right: the metric outweighs the profile.
PLAIN = {
    "counts (bikes)": ("bike", "poisson_nll"),
    "counts with many zeros (doctor visits)": ("doctors", "poisson_nll"),
    "rare positives, judged by their rank (HTRU2)": ("htru2", "bce_with_logits"),
    "masks, judged by IoU (nuclei)": ("nuclei", "bce_with_logits"),
    "squared errors (protein)": ("protein", "mse"),
}

# 2.1 errors: over nine pairs one of four losses gains two by chance on every seventh task (t, 8 degrees), so nothing is hinted for it
BY_CHANCE = {"nuclei": ["bce_weighted"]}


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, Any]]]:
    """Task -> loss -> its effect against the plain loss, as benchmarks/price/hints.py has it."""
    folder = str(ROOT / "benchmarks" / "price")
    sys.path.insert(0, folder)
    hints, records = importlib.import_module("hints"), importlib.import_module("records")
    yield {name: {effect.loss: effect for effect in reversed(hints.effects(task))} for name, task in records.load().items()}
    sys.path.remove(folder)
    for name in ("hints", "records"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(("task", "loss"), RIGHT.values(), ids=RIGHT)
def test_the_hinted_loss_gained_on_a_recorded_task_of_that_nature(task: str, loss: str, measured: dict[str, dict[str, Any]]) -> None:
    effect = measured[task][loss]
    assert effect.mean < 0
    assert effect.mean + effect.error < 0, "by more than a standard error over nine set-ups"


@pytest.mark.parametrize(("task", "plain"), PLAIN.values(), ids=PLAIN)
def test_where_no_other_loss_is_hinted_at_none_gained_by_two_errors(task: str, plain: str, measured: dict[str, dict[str, Any]]) -> None:
    assert plain not in measured[task]
    gained = [effect.loss for effect in measured[task].values() if effect.mean + 2 * effect.error < 0]
    # doctor visits: default and best lie within one standard error of each other, so shares of that distance mean nothing
    assert gained == BY_CHANCE.get(task, []) or task == "doctors"


def reached(setting: Setting, loss: str, seed: int) -> float:
    """The metric on audit of the baseline's training with another loss."""
    frame = Frame(length_of(setting), seed, 20, 0)
    plain = baseline(setting.problem, setting.profile, frame)
    recipe = replace(plain, loss=loss_part(loss, setting.profile, setting.problem))
    with threads(1):
        bench = setting.bench_of(0, seed)
        training = start(bench, recipe)
        training.advance(recipe.steps)
        outputs, targets = bench.outputs(training.final(), "audit")
    return bench.judge.value(outputs, targets, link_of(recipe, setting.problem))


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "target", "metric", "plain", "hinted"),
    [
        pytest.param("forest_fires", "area", "mae", "mse", "l1", id="heavy tails (forest fires)"),
        pytest.param("diamonds", "price", "mae", "mse", "l1", id="heavy tails (diamonds)"),
        pytest.param("credit_default", "default", "f1", "bce_with_logits", "bce_weighted", id="imbalance, judged by F1 (credit default)"),
    ],
)
def test_the_hinted_loss_gains_over_three_seeds(file: str, target: str, metric: str, plain: str, hinted: str) -> None:
    gains = []
    for seed in range(3):
        problem = fallline.open_problem(str(DATA / "tabular" / f"{file}.csv.gz"), target=target, metric=metric, seed=seed, epochs=5)
        setting = prepare(problem, seed=seed)
        ranks = [loss.name for loss in ranked_losses(setting.profile, setting.judge)]
        assert ranks.index(hinted) < ranks.index(plain)
        gains.append(setting.judge.sign * (reached(setting, plain, seed) - reached(setting, hinted, seed)))
    assert statistics.mean(gains) > statistics.stdev(gains) / math.sqrt(len(gains)), "by more than a standard error"
