"""Any table at all is either a sound problem or refused in our own words."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch

from fallline._errors import FalllineError
from fallline.doors.table import ENTRY

open_table = ENTRY.read

CELLS: tuple[Callable[[Random], str], ...] = (
    lambda draw: str(draw.gauss(0, 1)),
    lambda draw: str(draw.randint(0, 1)),
    lambda draw: str(draw.randint(0, 30)),
    lambda draw: draw.choice("abc"),
    lambda draw: draw.choice(["", "NA", "1", "2.5"]),
    lambda draw: draw.choice(["", 'x, "y"', "é中", "1e400", "-inf", "nan", "  3 ", '"', "0x1F", "1,000", "$5", "two\nlines"]),
    lambda draw: f"20{draw.randint(0, 99):02}-{draw.randint(1, 13):02}-{draw.randint(1, 31):02}",
    lambda draw: f"{draw.randint(1, 28)}/{draw.randint(1, 12)}/{draw.randint(1900, 2100)}",
    lambda draw: draw.choice(["True", "False", ""]),
    lambda draw: "",
    lambda draw: "7",
    lambda draw: str(10.0 ** draw.randint(-300, 300)),
    lambda draw: draw.choice(["1e308", "-1e308", "1e-308", "0"]),
    lambda draw: str(draw.randint(2**53, 2**80)),
    lambda draw: f"id{draw.randint(0, 10**6)}",
    lambda draw: draw.choice(["train", "dev", "test", ""]),
    lambda draw: f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}",
)
NAMES = ("a", "b", "split", "größe", "x y", "", 'q"t')
METRICS = ("mae", "accuracy", "auroc", "poisson_deviance", "macro_f1")
TASKS = ("count", "binary", "regression", "multiclass")


@pytest.mark.parametrize("seed", range(120))
def test_any_table(seed: int, tmp_path: Path) -> None:
    draw = Random(seed)
    width, rows = draw.randint(1, 6), draw.choice([3, 25, 60, 200])
    names = [f"{draw.choice(NAMES)}{number}" for number in range(width)] + ["y"]
    makers = [draw.choice(CELLS) for _ in names]
    spoilers = [draw.choice(CELLS) if draw.random() < 0.2 else maker for maker in makers]
    with open(tmp_path / "table.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=draw.choice(",,,;\t|"))
        writer.writerow(names)
        for _ in range(rows):
            writer.writerow([(spoil if draw.random() < 0.03 else make)(draw) for make, spoil in zip(makers, spoilers, strict=True)])
    options = {
        "group": names[0] if draw.random() < 0.15 else None,
        "time": names[-2] if draw.random() < 0.15 else None,
        "metric": draw.choice(METRICS) if draw.random() < 0.2 else None,
        "task": draw.choice(TASKS) if draw.random() < 0.1 else None,
    }
    try:
        problem = open_table(tmp_path / "table.csv", target="y" if draw.random() < 0.9 else f"y,{names[0]}", **options)
    except FalllineError:
        return
    json.dumps(problem.origin.preparation, allow_nan=False)
    for (numeric, categories), target in (problem.train, problem.valid, problem.audit):
        assert len(target) > 0
        assert torch.isfinite(numeric).all()
        assert torch.isfinite(target.double()).all()
        output = problem.new_model(0)(numeric, categories)
        assert torch.isfinite(output).all()
        if problem.task == "multiclass":
            assert 0 <= int(target.min()) <= int(target.max()) < output.shape[1]
        else:
            assert output.shape == target.shape
