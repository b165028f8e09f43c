"""What the tests of the exported script share: run folders for one recipe, and scripts run where Fallline cannot be imported."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

import fallline
from fallline import catalogue
from fallline._choose import facts
from fallline._constraints import Constraints
from fallline._journal import write_text
from fallline._planning import make_plan
from fallline._problem import Problem
from fallline._recipe import Part, Recipe
from fallline._record import record
from fallline._run import Run
from fallline._setting import prepare
from fallline._train import Trained
from fallline.exporters import export

if TYPE_CHECKING:
    import pytest

BLOCKER = """
import runpy, sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "fallline":
            raise ImportError("fallline is not here")
sys.meta_path.insert(0, Blocker())
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@dataclass
class Result:
    """What a script left behind."""

    text: str
    weights: dict[str, Tensor]
    metric: dict[str, float]


def alone(script: Path) -> Result:
    """Run a script in a new interpreter in which Fallline cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKER, script], capture_output=True, text=True, timeout=250, check=False, cwd=script.parent
    )
    assert done.returncode == 0, done.stderr
    return left_by(script, done.stdout)


def here(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Result:
    """Run a script in this process, quicker by the import of torch, with Fallline's modules hidden from it."""
    with monkeypatch.context() as hidden:
        for name in [name for name in sys.modules if name.partition(".")[0] == "fallline"]:
            hidden.setitem(sys.modules, name, None)
        hidden.setattr(sys, "path", list(sys.path))
        capsys.readouterr()
        runpy.run_path(str(script), run_name="__main__")
    return left_by(script, capsys.readouterr().out)


def left_by(script: Path, printed: str) -> Result:
    values = dict(re.findall(r"on (valid|audit): (\S+)", printed))
    weights = torch.load(script.with_name("model_from_script.pt"), weights_only=True)
    return Result(script.read_text(encoding="utf-8"), weights, {part: float(value) for part, value in values.items()})


ADAMW = {"schedule": Part("constant"), "clip": Part("none"), "decay_on": "matrices", "patience": None}


def run_of(problem: Problem, folder: Path, changes: Mapping[str, Any] | None) -> Trained:
    """A run's folder for one recipe, with what `fallline.train` makes of it: the baseline, or AdamW with `changes`."""
    setting = prepare(problem, seed=3)
    plan = make_plan(setting, price=1, seed=3, constraints=Constraints())
    recipe = plan.baseline if changes is None else replace(plan.baseline, **{**ADAMW, "optimizer": optimizer("adamw", lr=0.01), **changes})
    run = Run.create("run", folder)
    record(run, setting, plan, facts(setting, plan))
    write_text(folder / "recipe.toml", recipe.to_toml())
    run.journal.write("trained", metric="-")
    return fallline.train(problem, Recipe.load(folder / "recipe.toml"))


def optimizer(name: str, **settings: Any) -> Part:
    return Part(name, {**catalogue.optimizer(name).defaults(), **settings})


def schedule(name: str, **settings: Any) -> Part:
    return Part(name, {**catalogue.schedule(name).defaults(), **settings})


def same_weights(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class Checker:
    """Compares the script of a run with `train`."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys

    def __call__(self, problem: Problem, changes: Mapping[str, Any] | None) -> str:
        """The baseline's script, or that of AdamW with `changes`, gives the weights and the metric of `train`; its text is given back."""
        trained = run_of(problem, self.folder / "run", changes)
        result = here(export(self.folder / "run"), self.monkeypatch, self.capsys)
        assert same_weights(result.weights, trained.network.state_dict())
        assert result.metric == {"valid": trained.valid, "audit": trained.audit}
        return result.text


PLAIN = """
import torch
from torch import nn
import fallline

def make():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(500, 6, generator=generator)
    y = x[:, 0] * 2 + x[:, 1] ** 2 + torch.randn(500, generator=generator) * 0.3
    return x, y.unsqueeze(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)

def problem():
    return fallline.Problem(model=Net, train=make(), metric="mae", batch_size=32, epochs=3{more})
"""


def opened(folder: Path, text: str = PLAIN, more: str = "") -> Problem:
    folder.mkdir(exist_ok=True)
    (folder / "task.py").write_text(text.replace("{more}", f", {more}" if more else ""), encoding="utf-8")
    return fallline.open_problem(folder / "task.py", seed=3)
