"""The exported script: run where Fallline cannot be imported, it gives the run's weights bit for bit and its metric to the last digit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import PLAIN, Checker, alone, here, opened, optimizer, run_of, same_weights, schedule
from safetensors.torch import load_file

import fallline
from fallline._errors import RefusedError, UsageError
from fallline._problem import Problem
from fallline._recipe import Average, Cooldown, LrChange, Part
from fallline.exporters import export


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


# -- Python files ---------------------------------------------------------------------------------------------------------------------

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
def test_the_script_gives_the_weights_of_train(name: str, tmp_path: Path, check_same: Checker) -> None:
    check_same(opened(tmp_path / "work"), RECIPES[name])


def file_with(body: str) -> str:
    """A problem file whose `problem()` has this body; `x` is (400, 6) and `y` a number that depends on it."""
    lines = "\n".join(f"    {line}" if line else "" for line in body.strip("\n").splitlines())
    return HEAD + "\n\ndef problem():\n    x, y = drawn()\n" + lines + "\n"


HEAD = """
import random

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler

import fallline


def drawn():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(400, 6, generator=generator)
    return x, x[:, 0] * 2 + x[:, 1] ** 2 + torch.randn(400, generator=generator) * 0.3


def net(outputs=1):
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))


class Noisy(Dataset):
    '''Examples that draw from every generator when they are read.'''

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        noise = torch.randn(6) * 0.1 + float(np.random.normal()) * 0.1 + random.random() * 0.1
        return self.x[row] + noise, self.y[row]
"""

FILES = {
    "a module as it stands, with an optimizer and a scheduler of its own": """
model = net()  # its weights are drawn without a seed of its own
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=0.01)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
return fallline.Problem(model=model, train=(x, y.unsqueeze(1)), metric="mae", epochs=3, loss=nn.L1Loss(), optimizer=optimizer,
    scheduler=scheduler, clip=0.5)
""",
    "factories, a plateau of its own, patience": """
return fallline.Problem(model=net, train=(x, y.unsqueeze(1)), metric="mae", epochs=6, loss=lambda a, b: (a - b).abs().mean(), patience=1,
    optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.05), clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.1),
    scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5))
""",
    "a scheduler stepped by batches": """
return fallline.Problem(model=net, train=(x, y.unsqueeze(1)), metric="mae", epochs=2, scheduler_step="batch", shuffle=False,
    optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.05),
    scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9))
""",
    "a Dataset that draws": """
return fallline.Problem(model=net, train=Noisy(x, y.unsqueeze(1)), metric="mae", epochs=2, batch_size=32)
""",
    "three Datasets, a DataLoader with its own sampler and collate": """
def collate(examples):
    return torch.stack([a for a, _ in examples]) * 2, torch.stack([b for _, b in examples])
y = y.unsqueeze(1)
sampler = WeightedRandomSampler(x[:200, 0].exp(), 150)
train = DataLoader(Noisy(x[:200], y[:200]), batch_size=20, sampler=sampler, collate_fn=collate)
valid = DataLoader(Noisy(x[200:300], y[200:300]), batch_size=20, collate_fn=collate)
return fallline.Problem(model=net, train=train, valid=valid, audit=TensorDataset(x[300:] * 2, y[300:]), metric="mae", epochs=3)
""",
    "a DataLoader that keeps its order and its last batch": """
y = y.unsqueeze(1)
train = DataLoader(TensorDataset(x[:210], y[:210]), batch_size=20)
return fallline.Problem(model=net, train=train, valid=(x[210:300], y[210:300]), audit=(x[300:], y[300:]), metric="rmse", epochs=2)
""",
    "worker processes": """
y = y.unsqueeze(1)
train = DataLoader(Noisy(x[:200], y[:200]), batch_size=20, shuffle=True, num_workers=2)
return fallline.Problem(model=net, train=train, valid=(x[200:300], y[200:300]), audit=(x[300:], y[300:]), metric="mae", epochs=1)
""",
    "inputs by name, and a batch unpacked with noise": """
class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()
    def forward(self, left, right):
        return self.body(torch.cat([left, right], dim=1))
def unpack(batch):
    left = batch["left"] + torch.randn_like(batch["left"]) * 0.1 + float(np.random.normal()) * 0.01
    return {"left": left, "right": batch["right"]}, batch["y"]
train = {"left": x[:, :2], "right": x[:, 2:], "y": y.unsqueeze(1)}
return fallline.Problem(model=Named, train=train, unpack=unpack, metric="mae", epochs=2)
""",
    "several inputs in numpy, accumulated": """
class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()
    def forward(self, left, right):
        return self.body(torch.cat([left, right], dim=1))
return fallline.Problem(model=Two, train=((x[:, :2].double().numpy(), x[:, 2:].numpy()), y.double().numpy()[:, None]), metric="mae",
    epochs=3, batch_size=20, accumulate=3)
""",
    "double precision and a metric of its own": """
def median(output, target):
    return (output - target).abs().median().item()
return fallline.Problem(model=net, train=(x, y.unsqueeze(1)), metric=median, direction="min", precision="64", epochs=2)
""",
    "bfloat16 and a torchmetrics metric": """
import torchmetrics
return fallline.Problem(model=net, train=(x, y.unsqueeze(1)), metric=torchmetrics.MeanAbsoluteError(), precision="bf16", epochs=2)
""",
    "lazy layers": """
def model():
    return nn.Sequential(nn.LazyLinear(16), nn.ReLU(), nn.Dropout(0.1), nn.LazyLinear(1))
return fallline.Problem(model=model, train=(x, y.unsqueeze(1)), metric="mae", epochs=2)
""",
    "a frozen layer and a batch norm that stays as it is": """
model = net()
model[0].weight.requires_grad_(False)
model[1].eval()
return fallline.Problem(model=model, train=(x, y.unsqueeze(1)), metric="mae", epochs=2)
""",
    "tied weights and an embedding": """
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Embedding(5, 8)
        self.norm = nn.LayerNorm(8)
        self.out = nn.Linear(8, 5, bias=False)
        self.out.weight = self.read.weight
    def forward(self, codes):
        return self.out(self.norm(self.read(codes))).movedim(-1, 1)
codes = (x.abs() * 2).long().clamp(max=4)
target = codes.roll(1, dims=1)
target[:, 0] = -1
return fallline.Problem(model=Tied, train=(codes, target), task="sequence", ignore_index=-1, metric="accuracy", epochs=2)
""",
    "a model by its name": """
return fallline.Problem(model=("torch.nn:Linear", {"in_features": 6, "out_features": 1}), train=(x, y.unsqueeze(1)), metric="r2", epochs=2)
""",
    "classes": """
target = (y > 0).long() + (y > 2).long()
return fallline.Problem(model=lambda: net(3), train=(x, target), valid=(x[:80], target[:80]), metric="macro_f1", epochs=3)
""",
    "classes as log-probabilities": """
target = (y > 0).long() + (y > 2).long()
return fallline.Problem(model=lambda: nn.Sequential(net(3), nn.LogSoftmax(dim=1)), train=(x, target), metric="log_loss", epochs=2)
""",
    "yes or no in whole numbers": """
return fallline.Problem(model=lambda: nn.Sequential(net(), nn.Flatten(0)), train=(x, (y > 0).long()), metric="auroc", epochs=2)
""",
    "several labels as probabilities": """
target = torch.stack([y > 0, y > 2], dim=1).float()
return fallline.Problem(model=lambda: nn.Sequential(net(2), nn.Sigmoid()), train=(x, target), metric="average_precision", epochs=2)
""",
    "counts": """
count = torch.poisson(y.clamp(-2, 2).exp(), generator=torch.Generator().manual_seed(2)).unsqueeze(1)
return fallline.Problem(model=net, train=(x, count), task="count", epochs=2)
""",
    "mean and variance": """
return fallline.Problem(model=lambda: net(2), train=(x, y.unsqueeze(1)), task="regression", metric="mae", epochs=2)
""",
    "a sampler with a generator of its own": """
y = y.unsqueeze(1)
sampler = WeightedRandomSampler(x[:200, 0].exp(), 150, generator=torch.Generator().manual_seed(5))
train = DataLoader(TensorDataset(x[:200], y[:200]), batch_size=20, sampler=sampler)
return fallline.Problem(model=net, train=train, valid=(x[200:300], y[200:300]), audit=(x[300:], y[300:]), metric="mae", epochs=3)
""",
    "a Dataset read by workers, and split": """
train = DataLoader(Noisy(x, y.unsqueeze(1)), batch_size=50, shuffle=True, num_workers=1)
return fallline.Problem(model=net, train=train, metric="mae", epochs=1)
""",
    "a list of examples": """
return fallline.Problem(model=net, train=[(a, b.unsqueeze(0)) for a, b in zip(x, y)], metric="mae", epochs=1)
""",
    "inputs that want gradients": """
return fallline.Problem(model=net, train=(x.requires_grad_(), y.unsqueeze(1)), metric="mae", epochs=2)
""",
    "a module left in eval mode, and outputs of another shape": """
return fallline.Problem(model=net().eval(), train=(x, y), metric="mae", epochs=2, loss=lambda a, b: (a.squeeze(1) - b).abs().mean())
""",
    "the positive class is 0": """
return fallline.Problem(model=net, train=(x, (y > 0).float().unsqueeze(1)), metric="f1", positive=0, epochs=2)
""",
    "a plateau of its own that reads an accuracy": """
return fallline.Problem(model=lambda: net(2), train=(x, (y > 0).long()), metric="accuracy", epochs=6,
    optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.05),
    scheduler=lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5))
""",
    "a loop of its own over whole numbers": """
def loop(model, loss, optimizer, scheduler, loader):
    for inputs, target in loader:
        optimizer.zero_grad()
        loss(model(inputs), target).backward()
        optimizer.step()
return fallline.Problem(model=net, train=(x, (y > 0).long().unsqueeze(1)), task="binary", metric="auroc", epochs=2, loop=loop)
""",
    "a loop of its own": """
def loop(model, loss, optimizer, scheduler, loader):
    for inputs, target in loader:
        share = float(np.random.beta(0.2, 0.2))
        other = torch.randperm(len(inputs))
        optimizer.zero_grad()
        loss(model(share * inputs + (1 - share) * inputs[other]), share * target + (1 - share) * target[other]).backward()
        optimizer.step()
return fallline.Problem(model=net, train=(x, y.unsqueeze(1)), metric="mae", epochs=3, loop=loop, patience=1,
    optimizer=lambda model: torch.optim.Adam(model.parameters(), lr=0.02),
    scheduler=lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5))
""",
    "a loop of its own over a Dataset": """
def loop(model, loss, optimizer, scheduler, loader):
    for inputs, target in loader:
        optimizer.zero_grad()
        loss(model(inputs), target).backward()
        optimizer.step()
        scheduler.step()
return fallline.Problem(model=net, train=Noisy(x, y.unsqueeze(1)), metric="mae", epochs=2, loop=loop)
""",
}


CANDIDATE = {"schedule": schedule("cosine", warmup=0.1), "average": Average(0.9), "keep": "best", "clip": Part("norm", {"max_norm": 1.0})}


@pytest.mark.parametrize("name", FILES)
def test_the_script_repeats_the_set_up_of_a_file(name: str, tmp_path: Path, check_same: Checker) -> None:
    check_same(opened(tmp_path / "work", file_with(FILES[name])), None)


@pytest.mark.parametrize("name", FILES)
def test_the_script_repeats_a_candidate_on_the_data_of_a_file(name: str, tmp_path: Path, check_same: Checker) -> None:
    problem = opened(tmp_path / "work", file_with(FILES[name]))
    fits = {key: value for key, value in CANDIDATE.items() if key != "average" or problem.loop is None}  # a loop keeps no averages
    check_same(problem, fits)


# -- How a file is taken in ---------------------------------------------------------------------------------------------------------

HOSTILE = """
'''A file that calls its own things by the names that the script would use.'''
from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn as nn
from math import *

{imports}

SEED, STEPS, LR, LOOKS, INIT, SCHEDULE = 1, "steps", None, {}, "init", 7
data = torch.load(Path(__file__).parent / "data.pt")


def stream(x):
    return x[:, :6]


def take(tree, rows=None):
    return tree


class Examples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, batches: torch.Tensor) -> torch.Tensor:
        return self.body(stream(take(batches)))


def copy():
    return exp(0.0) * SCHEDULE


def metric(output, target):
    return float((output - target).abs().mean()) * copy() / 7


def np() -> {kind}:
    return {kind}(model=Examples, train=data, metric=metric, direction="min", epochs=2)


math = main = evaluate = predict = batches = lr_factor = parameter_groups = epoch_rows = "mine"


def problem() -> {kind}:
    return np()


if __name__ == "__main__":
    sys.exit("this only runs when the file itself does")
"""

IMPORTS = {
    "import fallline": "fallline.Problem",
    "import fallline as fl": "fl.Problem",
    "from fallline import Problem": "Problem",
    "from fallline import Problem as P": "P",
    "import os, fallline": "fallline.Problem",
    "if True:\n    import fallline": "fallline.Problem",
}


@pytest.mark.parametrize("imports", IMPORTS)
def test_the_names_of_a_file_and_of_the_script_are_kept_apart(imports: str, tmp_path: Path, check_same: Checker) -> None:
    work = tmp_path / "work"
    work.mkdir()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 7, generator=generator)
    torch.save((x, x[:, :1] * 2), work / "data.pt")
    text = check_same(opened(work, HOSTILE.replace("{imports}", imports).replace("{kind}", IMPORTS[imports])), CANDIDATE)
    assert "when the file itself does" not in text
    assert "A file that calls its own things" in text.partition('"""\n\n')[0]


def test_a_module_made_in_a_file_beside_starts_from_the_same_weights(
    tmp_path: Path, check_same: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "my_net.py").write_text("from torch import nn\n\nnet = nn.Linear(6, 1)\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    problem = opened(work, PLAIN.replace("model=Net", "model='my_net:net'"))
    trained = run_of(problem, tmp_path / "run", CANDIDATE)
    result = alone(export(tmp_path / "run"))
    assert same_weights(result.weights, trained.network.state_dict())
    monkeypatch.delitem(sys.modules, "my_net")


def test_modules_beside_the_file_are_found(tmp_path: Path, check_same: Checker, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "my_layers.py").write_text("from torch import nn\n\ndef net():\n    return nn.Linear(6, 1)\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    text = "from my_layers import net\n" + PLAIN.replace("model=Net", "model=net")
    check_same(opened(work, text), CANDIDATE)
    monkeypatch.delitem(sys.modules, "my_layers")


BEYOND = {
    "another name of the package": PLAIN.replace("import fallline", "import fallline\nfrom fallline.metrics import named"),
    "one line that does two things": PLAIN.replace("import fallline", "import torch; import fallline"),
    "a file that is two things": PLAIN + "\nif __name__ == '__main__':\n    raise SystemExit\nelse:\n    pass\n",
    "a function of the package": PLAIN.replace("def problem():", "def problem():\n    fallline.Recipe"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_file_that_needs_more_of_fallline_leaves_a_place_to_paste(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = opened(tmp_path / "work", BEYOND[case])
    trained = run_of(problem, tmp_path / "run", CANDIDATE)
    script = export(tmp_path / "run")
    text = script.read_text(encoding="utf-8")
    assert "TO FILL IN" in text
    assert "train: tuple of 500 examples" in text
    with pytest.raises(NotImplementedError, match="paste your model and data"):
        here(script, monkeypatch, capsys)
    pasted = PLAIN.replace("import fallline\n", "from types import SimpleNamespace as Problem\n").replace("fallline.", "")
    place = next(line for line in text.splitlines() if "raise NotImplementedError" in line)
    filled = text.replace(place, "    return problem()").replace('if __name__ == "', pasted.replace("{more}", "") + '\nif __name__ == "')
    script.write_text(filled, encoding="utf-8")
    assert same_weights(here(script, monkeypatch, capsys).weights, trained.network.state_dict())


def test_a_problem_made_in_python_leaves_a_place_to_paste(tmp_path: Path) -> None:
    x = torch.randn(300, 4)
    problem = Problem(model=torch.nn.Linear(4, 1), train=(x, x[:, :1]), valid=(x, x[:, :1]), metric="mae", epochs=1, loss=torch.nn.L1Loss())
    run_of(problem, tmp_path / "run", None)
    text = export(tmp_path / "run").read_text(encoding="utf-8")
    for said in ("PASTE HERE", "model: your module", "train: tuple of 300 examples", "valid: tuple of 300 examples", "loss: your function"):
        assert said in text, said


# -- Tables -------------------------------------------------------------------------------------------------------------------------


def table(path: Path, rows: int = 600) -> Path:
    """A table with numbers, categories, dates, missing values, and a target of each kind."""
    import numpy as np
    import polars as pl

    draw = np.random.default_rng(0)
    size, colour = draw.gamma(2.0, 3.0, rows), draw.choice(["red", "green", "blue", None], rows, p=[0.4, 0.3, 0.2, 0.1])
    day = np.datetime64("2020-01-01") + draw.integers(0, 700, rows).astype("timedelta64[D]")
    signal = size * 0.4 + (colour == "red") * 2.0 + draw.normal(0.0, 0.5, rows)
    frame = pl.DataFrame({
        "size": [None if missing else value for value, missing in zip(size.tolist(), draw.random(rows) < 0.1, strict=True)],
        "colour": colour.tolist(), "day": day.tolist(), "weight": draw.normal(0.0, 1.0, rows),
        "price": signal * 1000.0, "sold": np.where(signal > 4.0, "yes", "no").tolist(),
        "grade": np.array(["low", "middle", "high"])[np.digitize(signal, [2.0, 5.0])].tolist(),
        "visits": draw.poisson(np.exp(signal / 4.0)),
    })  # fmt: skip
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


TARGETS = {
    "price": {"metric": "mae"},
    "sold": {"metric": "log_loss"},
    "grade": {"metric": "accuracy"},
    "visits": {"task": "count"},
    "price,weight": {"metric": "rmse"},
}


@pytest.mark.parametrize("target", TARGETS)
def test_the_script_of_a_table_gives_the_weights_of_train(target: str, tmp_path: Path, check_same: Checker) -> None:
    problem = fallline.open_problem(table(tmp_path / "shop.csv"), target=target, seed=3, epochs=3, **TARGETS[target])
    text = check_same(problem, CANDIDATE)
    assert "fallline" not in text.partition('"""\n\n')[2].lower()


def test_a_large_preparation_lies_beside_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check_same: Checker) -> None:
    monkeypatch.setattr("fallline.exporters._opening.EMBEDDED_BYTES", 100)
    problem = fallline.open_problem(table(tmp_path / "shop.parquet"), target="price", metric="mae", seed=3, epochs=2)
    text = check_same(problem, None)
    assert "Numbers that were fitted" not in text
    assert (tmp_path / "run" / "train_run_preparation.json").exists()


@pytest.mark.parametrize("target", ["price", "grade"])
def test_the_script_of_a_race_gives_its_winner_where_fallline_is_not_installed(target: str, tmp_path: Path) -> None:
    problem = fallline.open_problem(table(tmp_path / "shop.csv"), target=target, seed=1, epochs=4, **TARGETS[target])
    verdict = fallline.choose(problem, price=2, seed=1, out=tmp_path / "race")
    result = alone(export(tmp_path / "race", "script", tmp_path / "elsewhere" / "train.py"))
    assert same_weights(result.weights, load_file(tmp_path / "race" / "model.safetensors"))
    assert result.metric["audit"] == verdict.document["verdict"]["metric"]
    winner = next(row for row in verdict.document["candidates"] if row["recipe"] == verdict.document["recipe"])
    assert result.metric["valid"] == winner["metric"]
    assert f"{result.metric['valid']!r} on valid, {result.metric['audit']!r} on audit" in " ".join(result.text.split())


# -- What else is promised ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["table", "file"])
def test_a_script_is_tidy(what: str, tmp_path: Path) -> None:
    if what == "table":
        problem = fallline.open_problem(table(tmp_path / "shop.csv"), target="price", metric="mae", seed=3, epochs=1)
    else:
        problem = opened(tmp_path / "work")
    run_of(problem, tmp_path / "run", CANDIDATE)
    rules = "F,E,W,B,I" if what == "table" else "F,E7,E9,W,B"  # in the middle of a file stand the user's own imports
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--line-length",
        "140",
        "--select",
        rules,
        str(export(tmp_path / "run")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_another_device_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    trained = run_of(opened(tmp_path / "work", file_with(FILES["several inputs in numpy, accumulated"])), tmp_path / "run", CANDIDATE)
    path = tmp_path / "run" / "problem.json"
    found = json.loads(path.read_text())
    found["setup"]["device"] = "cpu:0"  # stands for a GPU: the script then moves everything as it would to one
    path.write_text(json.dumps(found))
    result = here(export(tmp_path / "run"), monkeypatch, capsys)
    assert "to_device" in result.text
    assert same_weights(result.weights, trained.network.state_dict())


def test_a_run_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    run_of(opened(tmp_path / "work"), tmp_path / "run", None)
    with pytest.raises(UsageError, match="unknown export 'scrpt'; did you mean script"):
        export(tmp_path / "run", "scrpt")
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"cannot write .*name another place"):
        export(tmp_path / "run", "script", tmp_path / "taken" / "script.py")
    shutil.copytree(tmp_path / "run", tmp_path / "older")
    (tmp_path / "older" / "problem.json").write_text("{}")
    with pytest.raises(UsageError, match="does not say what its problem was like"):
        export(tmp_path / "older")
    (tmp_path / "older" / "recipe.toml").unlink()
    with pytest.raises(UsageError, match="has no recipe yet"):
        export(tmp_path / "older")
    with pytest.raises(UsageError, match="no run"):
        export(tmp_path / "nowhere")


def test_a_script_that_would_not_be_python_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_of(opened(tmp_path / "work"), tmp_path / "run", None)
    monkeypatch.setattr("fallline.exporters.script.write_judging", lambda page, case: page.main.append("1 +"))
    with pytest.raises(RefusedError, match="would not be valid Python"):
        export(tmp_path / "run")
    assert not list((tmp_path / "run").glob("*.py*train*"))


# -- The long way ---------------------------------------------------------------------------------------------------------------------

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("price", [3.5, 8])
def test_the_winner_of_a_full_race_is_repeated(price: float, target: str, tmp_path: Path) -> None:
    problem = fallline.open_problem(table(tmp_path / "shop.csv"), target=target, seed=2, epochs=5, **TARGETS[target])
    fallline.choose(problem, price=price, seed=2, out=tmp_path / "race")
    result = alone(export(tmp_path / "race"))
    assert same_weights(result.weights, load_file(tmp_path / "race" / "model.safetensors"))


@pytest.mark.slow
@pytest.mark.timeout(900)  # the CNN trains three minutes on a busy machine
@pytest.mark.parametrize("name", [path.parent.name for path in sorted(EXAMPLES.glob("*/problem.py"))])
def test_the_winner_of_an_example_is_repeated(name: str, tmp_path: Path) -> None:
    if "torchvision" in name:
        pytest.importorskip("torchvision")
    problem = fallline.open_problem(EXAMPLES / name / "problem.py", seed=1, epochs=1)
    fallline.choose(problem, price=1, seed=1, out=tmp_path / "race")
    result = alone(export(tmp_path / "race"))
    assert same_weights(result.weights, load_file(tmp_path / "race" / "model.safetensors"))
