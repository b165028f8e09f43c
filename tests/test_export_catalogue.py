"""Every entry of the catalogue and every metric works in an exported script, by itself and without Fallline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened

from fallline import catalogue
from fallline._errors import RefusedError
from fallline._recipe import Part
from fallline._setting import prepare
from fallline.exporters._judging import write_metric
from fallline.exporters._page import Page
from fallline.metrics import metrics
from fallline.testing import losses as contract
from fallline.testing import metrics as metric_contract

FILE = """
import torch
from torch import nn
import fallline

def problem():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 5, generator=generator)
    y = x[:, :1] + 0.5 * torch.randn(300, 1, generator=generator)
    {target}
    head = nn.{head}
    def model():
        return nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, {outputs}), head)
    return fallline.Problem(model=model, train=(x, y), task="{task}", metric="{metric}", batch_size=20, epochs=2)
"""
TARGETS = {
    "regression": ("pass", 1, "mae"),
    "count": ("y = torch.poisson(y.exp(), generator=generator)", 1, "mae"),
    "binary": ("y = (y > 0).float()", 1, "accuracy"),
    "multilabel": ("y = torch.cat([y > 0, y > 1, y > -1, x[:, 1:2] > 0], dim=1).float()", 4, "accuracy"),
    "ordinal": ("y = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-1.0, 0.0, 1.0]))", 4, "quadratic_kappa"),
    "embedding": ("y = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-1.0, 0.0, 1.0]))", 5, "map_at_r"),
    "multiclass": ("y = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-1.0, 0.0, 1.0]))", 4, "accuracy"),
}
HEADS = {"real": "Identity()", "probability": "Sigmoid()", "log-probability": "LogSoftmax(dim=1)"}


def file_for(task: str, reads: str = "real", width: int = 1) -> str:
    target, outputs, metric = TARGETS[task]
    filled = {"target": target, "outputs": str(outputs * width), "metric": metric, "task": task, "head": HEADS[reads]}
    text = FILE
    for name, value in filled.items():
        text = text.replace("{" + name + "}", value)
    return text


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("name", catalogue.all_losses())
def test_a_loss_trains_in_the_script(name: str, tmp_path: Path, check_same: Checker) -> None:
    entry = catalogue.loss(name)
    task = next(task for task in entry.tasks if task in TARGETS)
    settings = {key: value for key, value in contract.settings_for(entry, task, entry.example).items() if value is not None}
    problem = opened(tmp_path / "work", file_for(task, entry.reads[0], entry.width))
    text = check_same(problem, {"loss": Part(name, settings), "head": entry.head(prepare(problem, seed=3).profile)})
    assert f"loss_function = {entry.code({**entry.defaults(), **settings})}" in text


@pytest.mark.parametrize("name", catalogue.all_optimizers())
def test_an_optimizer_steps_in_the_script(name: str, tmp_path: Path, check_same: Checker) -> None:
    entry = catalogue.optimizer(name)
    if entry.package:
        pytest.importorskip(entry.package, reason='needs the extra: pip install "fallline[optimizers]"')
    example = dict(entry.example)
    text = check_same(opened(tmp_path / "work", file_for("regression")), {"optimizer": Part(name, example)})
    assert "groups = parameter_groups(model)" in text


@pytest.mark.parametrize("settings", ["defaults", "example"])
@pytest.mark.parametrize("name", catalogue.all_schedules())
def test_a_schedule_runs_in_the_script(name: str, settings: str, tmp_path: Path, check_same: Checker) -> None:
    entry = catalogue.schedule(name)
    chosen = entry.defaults() if settings == "defaults" else dict(entry.example)
    text = check_same(opened(tmp_path / "work", file_for("regression")), {"schedule": Part(name, chosen)})
    warms = bool(chosen.get("warmup"))
    assert ("def lr_factor(step)" in text) == (warms or not (entry.flat or entry.reads_metric))
    assert ("def warmed(" in text) == warms


@pytest.mark.parametrize("name", catalogue.all_clips())
def test_a_clip_acts_in_the_script(name: str, tmp_path: Path, check_same: Checker) -> None:
    entry = catalogue.clip(name)
    text = check_same(opened(tmp_path / "work", file_for("regression")), {"clip": Part(name, dict(entry.example))})
    assert entry.code({**entry.defaults(), **entry.example}) in text


@pytest.mark.parametrize("name", metrics())
def test_a_metric_is_copied_whole(name: str) -> None:
    entry, page = metrics()[name], Page()
    write_metric(page, entry)
    page.main.append("pass")
    names: dict[str, Any] = {"__name__": "script"}
    page.need("import torch")
    text = page.render()
    assert "fallline" not in text
    exec(compile(text, name, "exec"), names)
    for task in entry.tasks:
        for scores, target in metric_contract.draw(task, seed=0):
            ours, theirs = entry.whole(scores, target), names["metric"](scores, target)
            assert ours == theirs or (math.isnan(ours) and math.isnan(theirs)), f"{name}, {task} {tuple(scores.shape)}"
            broken = torch.full_like(scores, math.nan)
            assert math.isnan(names["metric"](broken, target))


def test_a_metric_without_source_is_refused() -> None:
    from dataclasses import replace

    known = metrics()
    hidden = replace(known["rmse"], each=None)
    with pytest.raises(RefusedError, match="rmse has no source to copy"):
        write_metric(Page(), hidden)
