"""Which task a target makes: the written rule, what the metric decides, what the user overrides, and the positive class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fallline._errors import UsageError
from fallline.doors.table import ENTRY

open_table = ENTRY.read

ROWS = 400
RANDOM = np.random.default_rng(0)
ORDINAL = RANDOM.integers(3, 10, ROWS)
AGES = RANDOM.integers(18, 90, ROWS)
COUNTS = RANDOM.negative_binomial(0.5, 0.02, ROWS)
MONEY = RANDOM.integers(300, 20_000, ROWS)

RULE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "floats": (RANDOM.normal(size=ROWS), {}, "regression"),
    "whole floats": (AGES.astype(float), {}, "regression"),
    "ages": (AGES, {}, "regression"),
    "money": (MONEY, {}, "regression"),
    "overdispersed from zero": (COUNTS, {}, "count"),
    "overdispersed, below zero": (COUNTS - 20, {}, "regression"),
    "0 and 1": (ORDINAL % 2, {}, "binary"),
    "-1 and 1": (ORDINAL % 2 * 2 - 1, {}, "binary"),
    "a few whole numbers": (ORDINAL, {}, "multiclass"),
    "two words": (np.where(ORDINAL > 5, "spam", "ham"), {}, "binary"),
    "booleans": (ORDINAL > 5, {}, "binary"),
    "words": (np.array(["a", "b", "c"])[ORDINAL % 3], {}, "multiclass"),
    "the metric makes ratings numbers": (ORDINAL, {"metric": "rmse"}, "regression"),
    "the metric makes ratings classes": (ORDINAL, {"metric": "accuracy"}, "multiclass"),
    "a metric of ranks makes ratings ranks": (ORDINAL, {"metric": "qwk"}, "ordinal"),
    "ratings said to be ranks": (ORDINAL, {"task": "ordinal", "metric": "mae"}, "ordinal"),
    "the metric makes 0 and 1 numbers": (ORDINAL % 2, {"metric": "mae"}, "regression"),
    "the metric makes ages counts": (AGES, {"metric": "poisson_deviance"}, "count"),
    "counts by a metric that fits both": (COUNTS, {"metric": "rmse"}, "count"),
    "a function as metric decides nothing": (ORDINAL, {"metric": lambda output, target: 0.0, "direction": "min"}, "multiclass"),
    "task overrides": (ORDINAL, {"task": "regression"}, "regression"),
    "task as people spell it": (ORDINAL, {"task": "Multi-Class"}, "multiclass"),
    "task overrides counts": (COUNTS, {"task": "regression", "metric": "rmse"}, "regression"),
}


def opened(folder: Path, y: Any, **options: Any) -> Any:
    pl.DataFrame({"x": np.arange(ROWS) * 0.5, "y": y}).write_csv(folder / "table.csv")
    return open_table(folder / "table.csv", target="y", **options)


@pytest.mark.parametrize("case", RULE)
def test_task(case: str, tmp_path: Path) -> None:
    y, options, task = RULE[case]
    problem = opened(tmp_path, y, **options)
    assert problem.task == task
    assert sum(note.startswith(f"task: {task}") for note in problem.origin.notes) == 1


def test_the_note_says_what_else_it_could_be(tmp_path: Path) -> None:
    notes = opened(tmp_path, ORDINAL).origin.notes
    assert "task: multiclass (7 different whole numbers); say --task regression or count or ordinal to change it" in notes
    notes = opened(tmp_path, MONEY).origin.notes
    assert notes[0].startswith("task: regression (whole numbers from ")
    assert "count" not in notes[0], "money is not counted"


@pytest.mark.parametrize(
    ("classes", "positive", "labels"),
    [
        (("0", "1"), None, ("0", "1")),
        (("1", "2"), None, ("2", "1")),  # 1 says yes
        (("-1", "1"), None, ("-1", "1")),
        (("5", "7"), None, ("5", "7")),
        (("no", "yes"), None, ("no", "yes")),
        (("True", "False"), None, ("False", "True")),
        (("Positive", "Negative"), None, ("Negative", "Positive")),
        (("rare", "common"), None, ("common", "rare")),
        (("rare", "common"), "common", ("rare", "common")),
        (("rare", "common"), "COMMON", ("rare", "common")),
        (("0", "1"), 0, ("1", "0")),
        (("0", "1"), "0.0", ("1", "0")),
        (("0", "1"), False, ("1", "0")),
    ],
)
def test_positive_class(classes: tuple[str, str], positive: Any, labels: tuple[str, str], tmp_path: Path) -> None:
    y = np.array(classes)[(np.arange(ROWS) % 4 > 0).astype(int)]  # the first is the rarer
    problem = opened(tmp_path, y, positive=positive)
    assert problem.origin.labels == labels
    assert float(problem.train[1].mean()) == pytest.approx(0.25 if labels[1] == classes[0] else 0.75, abs=0.01)
    assert any(note.startswith(f"positive class: {labels[1]} (") for note in problem.origin.notes)


def test_classes_are_numbered_in_their_own_order(tmp_path: Path) -> None:
    y = np.array([2, 10, 33])[ORDINAL % 3]
    problem = opened(tmp_path, y)
    assert problem.origin.labels == ("2", "10", "33")
    assert problem.train[1].unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("y", "options", "said"),
    [
        (ORDINAL * 0.3, {"metric": "accuracy"}, "Metrics that fit: mae"),
        (np.array(["a", "b", "c"])[ORDINAL % 3], {"metric": "mae"}, "the task here is multiclass. Metrics that fit: accuracy"),
        (ORDINAL, {"metric": "acuracy"}, "did you mean accuracy"),
        (ORDINAL, {"metric": "accuracy", "direction": "min"}, "leave direction out"),
        (ORDINAL, {"metric": "accuracy", "task": "regression"}, "metric accuracy is for"),
        (ORDINAL, {"task": "embedding"}, "task embedding needs a model of your own"),
        (ORDINAL, {"task": "segmentation"}, "task must be one of regression, count"),
        (ORDINAL, {"task": "binary"}, "'y' cannot be binary: 7 different whole numbers"),
        (ORDINAL * 0.3, {"task": "count"}, "'y' cannot be count: numbers that are not whole"),
        (ORDINAL * 0.3, {"positive": "1"}, "the task here is regression; leave it out"),
        (ORDINAL, {"positive": "3"}, "the task here is multiclass; leave it out"),
        (ORDINAL % 2, {"positive": "2"}, "one of the target's classes, 0 or 1, got '2'"),
    ],
)
def test_what_does_not_fit_is_refused(y: Any, options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refusal:
        opened(tmp_path, y, **options)
    assert said in str(refusal.value)


def test_several_columns_are_labels_or_outputs(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "x": RANDOM.normal(size=ROWS),
            "a": ORDINAL % 2,
            "b": np.where(ORDINAL > 5, "True", "False"),
            "c": RANDOM.normal(size=ROWS),
            "d": AGES,
        }
    )
    frame.write_csv(tmp_path / "table.csv")
    labels = open_table(tmp_path / "table.csv", target="a, b")
    assert labels.task == "multilabel"
    assert labels.origin.labels == ("a", "b")
    assert labels.train[1].unique().tolist() == [0, 1]
    assert open_table(tmp_path / "table.csv", target="a,b", metric="macro_f1").task == "multilabel"
    outputs = open_table(tmp_path / "table.csv", target="c,d")
    assert outputs.task == "regression"
    assert outputs.train[1].mean(dim=0).abs().max() < 1e-5
    assert open_table(tmp_path / "table.csv", target="a,d").task == "regression"
