"""A question of yes or no that is answered by two outputs, one a class: judged by metrics of yes and no too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened
from torch import nn
from torchmetrics.functional.classification import binary_f1_score

import fallline
from fallline._errors import RefusedError
from fallline._recipe import Part
from fallline._setting import prepare
from fallline.metrics import named

X = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0.5).long()


def problem(**more: Any) -> fallline.Problem:
    given = {"model": lambda: nn.Sequential(nn.Linear(4, 2)), "train": (X, Y), "metric": "f1", "batch_size": 20, "epochs": 1, **more}
    return fallline.Problem(**given)


@pytest.mark.parametrize("task", [None, "binary", "multiclass"])
def test_f1_reads_the_second_class_of_two(task: str | None) -> None:
    setting = prepare(problem(task=task))
    assert setting.profile.task == "multiclass"
    outputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    target = torch.randint(2, (200,), generator=torch.Generator().manual_seed(2))
    wanted = float(binary_f1_score(outputs.softmax(1)[:, 1], target))
    assert setting.judge.value(outputs, target, None) == pytest.approx(wanted)
    zero = prepare(problem(task=task, positive=0))
    wanted = float(binary_f1_score(outputs.softmax(1)[:, 0], 1 - target))
    assert zero.judge.value(outputs, target, None) == pytest.approx(wanted)


def test_a_metric_that_classes_have_too_reads_both_outputs() -> None:
    judge = prepare(problem(metric="accuracy", task="binary")).judge
    assert not judge.of_two
    outputs = torch.randn(50, 2, generator=torch.Generator().manual_seed(1))
    assert judge.value(outputs, Y[:50], None) == named("accuracy").whole(outputs.double().softmax(1), Y[:50])


def test_two_outputs_and_floats_say_what_to_do() -> None:
    with pytest.raises(RefusedError, match=r"whole numbers \(class indices\), got torch.float32; use target.long\(\)"):
        prepare(problem(train=(X, Y.float()), task="multiclass"))


FILE = """
import torch
from torch import nn
import fallline

def problem():
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0.5).long()
    return fallline.Problem(model=lambda: nn.Linear(4, 2), train=(x, y), metric="f1", task="binary", batch_size=20, epochs=2{more})
"""


@pytest.mark.parametrize("more", ["", "positive=0"])
def test_the_script_reads_it_alike(more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    text = Checker(tmp_path, monkeypatch, capsys)(opened(tmp_path / "work", FILE, more), {"loss": Part("cross_entropy")})
    assert "is the positive one" in text
