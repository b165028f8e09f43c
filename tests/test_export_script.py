"""The exported script: run where Fallline cannot be imported, it gives the run's weights bit for bit and its metric to the last digit."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import fallline
from fallline import catalogue
from fallline._choose import facts
from fallline._constraints import Constraints
from fallline._journal import write_text
from fallline._planning import make_plan
from fallline._problem import Problem
from fallline._recipe import Average, Cooldown, LrChange, Part, Recipe
from fallline._record import record
from fallline._run import Run
from fallline._setting import prepare
from fallline.exporters import export

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
    done = subprocess.run([sys.executable, "-c", BLOCKER, script], capture_output=True, text=True, timeout=120, check=False, cwd=script.parent)
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


def run_of(problem: Problem, folder: Path, **changes: Any) -> tuple[Recipe, fallline._train.Trained]:
    """A run's folder for one recipe, with what `fallline.train` makes of it; `changes` are made to AdamW with the plain loss."""
    setting = prepare(problem, seed=3)
    plan = make_plan(setting, price=1, seed=3, constraints=Constraints())
    recipe = replace(plan.baseline, **{"optimizer": optimizer("adamw", lr=0.01), "decay_on": "matrices", **changes})
    if problem.loop is not None or "own" in changes:
        recipe = replace(plan.baseline, **{key: value for key, value in changes.items() if key != "own"})
    run = Run.create("run", folder)
    record(run, setting, plan, facts(setting, plan))
    write_text(folder / "recipe.toml", recipe.to_toml())
    run.journal.write("trained", metric="-")
    return recipe, fallline.train(problem, Recipe.load(folder / "recipe.toml"))


def optimizer(name: str, **settings: Any) -> Part:
    return Part(name, {**catalogue.optimizer(name).defaults(), **settings})


def schedule(name: str, **settings: Any) -> Part:
    return Part(name, {**catalogue.schedule(name).defaults(), **settings})


def same_weights(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def check_same(problem: Problem, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **changes: Any) -> str:
    """The script of a run with these changes equals `train`; its text is given back."""
    _, trained = run_of(problem, folder, **changes)
    result = here(export(folder), monkeypatch, capsys)
    assert same_weights(result.weights, trained.network.state_dict())
    assert result.metric == {"valid": trained.valid, "audit": trained.audit}
    return result.text


# -- Python files ---------------------------------------------------------------------------------------------------------------------

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


RECIPES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine, warm-up, norm clip": {"schedule": schedule("cosine", warmup=0.1), "clip": Part("norm", {"max_norm": 0.5})},
    "one cycle, average": {"schedule": schedule("one_cycle"), "average": Average(0.9)},
    "muon, wsd, best": {"optimizer": optimizer("muon", lr=0.02), "schedule": schedule("wsd", warmup=0.1, decay=0.5), "keep": "best"},
    "muon on all, value clip": {"optimizer": optimizer("muon", lr=0.02), "decay_on": "all", "clip": Part("value", {"clip_value": 0.05})},
    "plateau, warm-up, best": {"schedule": schedule("plateau", warmup=0.1, patience=1, factor=0.5), "keep": "best", "look_rows": 50},
    "plateau": {"schedule": schedule("plateau", patience=1, factor=0.5, threshold=0.01)},
    "a child": {"schedule": schedule("linear"), "lr_change": LrChange(10, 1 / 3)},
    "a child at constant lr": {"lr_change": LrChange(10, 1 / 3), "average": Average(0.9), "keep": "best"},
    "a cooldown": {"schedule": schedule("cosine", warmup=0.05), "cooldown": Cooldown(15, 7), "keep": "best"},
    "a cooldown from constant lr": {"cooldown": Cooldown(15, 7), "lr_change": LrChange(12, 0.5)},
    "step, momentum with l2, patience": {
        "optimizer": optimizer("momentum", lr=0.02, l2=0.01),
        "schedule": schedule("step"),
        "patience": 2,
        "keep": "best",
    },
    "huber": {"loss": Part("huber", {"delta": 0.4}), "schedule": schedule("exponential")},
    "quantile": {"loss": Part("quantile", {"q": 0.7}), "schedule": schedule("cyclical", warmup=0.1)},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_script_gives_the_weights_of_train(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    check_same(opened(tmp_path / "work"), tmp_path / "run", monkeypatch, capsys, **RECIPES[name])
