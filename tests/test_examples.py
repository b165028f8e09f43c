"""The examples open, train and choose; their data carry licences; the ResNet-18 is the one that people mean."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import fallline
from fallline._batches import tree_map
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._planning import make_plan
from fallline._recipe import BodyLr
from fallline._setting import prepare

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
FILES = {path.parent.name: path for path in sorted(EXAMPLES.glob("*/problem.py"))}
TORCHVISION = "cnn_torchvision"
RUNNABLE = [name for name in FILES if name != TORCHVISION]  # what runs without a package that is not ours

# What `state_dict()` of torchvision 0.28.0's resnet18() holds: 122 lines "name shape", and their sum of parameters.
RESNET_18 = "84fb10d9c6905a1cbb020b284537dc97c4f4ec55fb2a780a41152a23a2dd0e9d"
RESNET_18_PARAMETERS = 11_689_512


@pytest.fixture(scope="module", autouse=True)
def _pretrained() -> Iterator[None]:
    """Weights for the example that starts from some, hardly trained and taken away again, unless a user has made them."""
    file = EXAMPLES / "cnn_finetuned" / "resnet18_pretrained.safetensors"
    if file.exists():
        yield
        return
    path, modules = list(sys.path), set(sys.modules)
    loaded("cnn_finetuned", "problem").pretrain(file, rows=128, epochs=1)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "resnet":
            del sys.modules[name]
    yield
    file.unlink()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What an example puts on sys.path and among the modules does not stay."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name == "resnet" or name.startswith(("torchvision", "fallline_problem_")):
            del sys.modules[name]


def opened(name: str) -> fallline.Problem:
    return fallline.open_problem(FILES[name])


def some(split: Any, rows: int, every: int) -> Any:
    """Rows spread over a split; of images, every so many pixels."""

    def fewer(leaf: Tensor) -> Tensor:
        chosen = leaf[:: max(len(leaf) // rows, 1)][:rows]
        return chosen[..., ::every, ::every] if leaf.ndim == 4 else chosen

    return None if split is None else tree_map(fewer, split)


def small(name: str, rows: int = 300) -> fallline.Problem:
    """An example with few rows, small images where the model takes any size, small batches, and one pass over them."""
    whole, every = opened(name), 2 if name.startswith("cnn") else 1
    splits = {part: some(getattr(whole, part), rows, every) for part in ("train", "valid", "audit")}
    return dataclasses.replace(whole, **splits, batch_size=16, epochs=1)


def resnet() -> ModuleType:
    return loaded("cnn_fashion_mnist", "resnet")


def loaded(example: str, name: str) -> ModuleType:
    """A module beside an example, by itself."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / example / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# the examples ------------------------------------------------------------------------------------------------------------------------

BASELINES = {
    "cnn_fashion_mnist": ("Adam", {"lr": 1e-3}, nn.CrossEntropyLoss, "multiclass", "accuracy"),
    "cnn_finetuned": ("SGD", {"lr": 0.001, "momentum": 0.9}, nn.CrossEntropyLoss, "multiclass", "accuracy"),
    "own_loop": ("SGD", {"lr": 0.01, "momentum": 0.9}, nn.CrossEntropyLoss, "multiclass", "accuracy"),
    "own_metric": ("Adam", {"lr": 1e-3}, nn.MSELoss, "regression", "within_ten_percent"),
    "rnn_names": ("SGD", {"lr": 0.01, "momentum": 0.9}, nn.CrossEntropyLoss, "multiclass", "macro_f1"),
    "rnn_series": ("SGD", {"lr": 0.01, "momentum": 0.9}, nn.MSELoss, "regression", "rmse"),
}


def test_every_example_is_known_here_and_in_the_readme() -> None:
    assert set(BASELINES) | {TORCHVISION} == set(FILES)
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in FILES if f"`{name}" not in readme] == []


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_baseline_of_an_example_is_the_tutorials(name: str) -> None:
    optimizer, options, loss, task, metric = BASELINES[name]
    setting = prepare(small(name))
    built = setting.problem.optimizer(setting.problem.new_model())
    assert type(built).__name__ == optimizer
    assert {key: built.param_groups[0][key] for key in options} == options
    assert type(setting.problem.loss) is loss
    assert (setting.profile.task, setting.judge.metric.name) == (task, metric)


@pytest.mark.parametrize("name", RUNNABLE)
def test_an_example_chooses_on_a_few_rows_and_trains_to_the_same_weights(name: str, tmp_path: Path) -> None:
    verdict = fallline.choose(small(name), price=1, out=tmp_path / "run")
    assert verdict.status in ("better", "no difference shown", "worse")
    assert verdict.document["plan"]["threads"] == 1, "equal bits are promised on one thread"
    again = fallline.train(small(name), verdict.recipe).network.state_dict()
    assert all(torch.equal(again[key], value) for key, value in verdict.model.state_dict().items())


def test_the_finetuned_example_starts_from_its_file_and_races_a_smaller_lr_for_the_body() -> None:
    given = small("cnn_finetuned")
    held = load_file(EXAMPLES / "cnn_finetuned" / "resnet18_pretrained.safetensors")
    model = given.new_model(1).state_dict()
    assert held["fc.weight"].shape != model["fc.weight"].shape
    assert all(torch.equal(model[name], tensor) for name, tensor in held.items() if not name.startswith("fc"))
    plan = make_plan(prepare(given), price=2, constraints=Constraints())
    assert [candidate.recipe.body_lr for candidate in plan.candidates if candidate.recipe.body_lr] == [BodyLr(0.1, ("fc",))]


def test_the_series_example_reads_no_target_of_another_part() -> None:
    series = opened("rnn_series")
    months = [len(split[1]) for split in (series.train, series.valid, series.audit)]
    assert months[0] > months[1] > months[2] > 80
    values = dataclasses.asdict(series)["train"][0]
    assert torch.equal(values[:, -1], torch.zeros_like(values[:, -1])), "windows are relative to their last value"


def test_the_names_example_reads_a_name_to_its_end_and_no_further() -> None:
    names = opened("rnn_names")
    (codes, length), _ = names.train
    model = names.new_model().eval()
    one = slice(0, 1)
    longer = torch.cat([codes[one], torch.zeros(1, 5, dtype=torch.long)], dim=1)
    assert torch.equal(model(codes[one], length[one]), model(longer, length[one]))
    assert int(codes[0, length[0] - 1]) > 0
    assert int(codes[0, length[0] :].sum()) == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", RUNNABLE)
def test_an_example_chooses_in_full_on_the_command_line(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fallline", "choose", str(FILES[name]), "--price", "2", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=1700, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "recipe.toml").is_file()


# data --------------------------------------------------------------------------------------------------------------------------------


def test_every_data_file_has_a_row_and_a_licence() -> None:
    readme = (EXAMPLES / "data" / "README.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in readme.splitlines() if line.startswith("| `")}
    files = {path.name for path in (EXAMPLES / "data").iterdir() if path.is_file() and path.name != "README.md"}
    assert set(rows) == files
    for name, row in rows.items():
        text = row.partition("(licences/")[2].partition(")")[0]
        assert (EXAMPLES / "data" / "licences" / text).is_file() if text else "public domain" in row, name


# the ResNet-18 ------------------------------------------------------------------------------------------------------------------------


def digest(model: nn.Module) -> str:
    lines = [f"{name} {tuple(tensor.shape)}" for name, tensor in model.state_dict().items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def test_the_resnet_has_the_parameters_of_torchvisions() -> None:
    model = resnet().ResNet18()
    assert sum(parameter.numel() for parameter in model.parameters()) == RESNET_18_PARAMETERS
    assert digest(model) == RESNET_18


def test_the_small_stem_keeps_the_size_of_an_image_and_the_width_divides_the_parameters() -> None:
    build: Callable[..., nn.Module] = resnet().ResNet18
    whole = build(num_classes=10, channels=1, small=True)
    assert sum(parameter.numel() for parameter in whole.parameters()) == 11_172_810
    narrow = build(num_classes=10, channels=1, width=8, small=True).eval()
    sizes: list[tuple[int, ...]] = []
    for stage in (narrow.conv1, narrow.layer1, narrow.layer2, narrow.layer3, narrow.layer4):
        stage.register_forward_hook(lambda module, given, made: sizes.append(tuple(made.shape[1:])))
    assert narrow(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sizes == [(8, 28, 28), (8, 28, 28), (16, 14, 14), (32, 7, 7), (64, 4, 4)]


# torchvision by name --------------------------------------------------------------------------------------------------------------------


def fake_torchvision(folder: Path, models: str) -> None:
    package = folder / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "models.py").write_text(models, encoding="utf-8")


def test_without_torchvision_the_example_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UsageError, match=r"cannot import 'torchvision.models'.*must match torch"):
        prepare(small(TORCHVISION))


def test_a_torchvision_built_for_another_torch_is_said_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torchvision(tmp_path, 'raise RuntimeError("operator torchvision::nms does not exist")')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"operator torchvision::nms does not exist; torchvision must match torch"):
        prepare(small(TORCHVISION))


def test_where_torchvision_works_its_model_is_taken_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = "def resnet18(*, weights=None, num_classes=1000):\n    return ResNet18(num_classes=num_classes, width=8)\n"
    source = (EXAMPLES / "cnn_fashion_mnist" / "resnet.py").read_text(encoding="utf-8")
    fake_torchvision(tmp_path, f"{source}\n\n{stand_in}")
    monkeypatch.syspath_prepend(tmp_path)
    setting = prepare(small(TORCHVISION))
    assert (setting.profile.output_shape, setting.profile.model_kind) == ((10,), "cnn")
    model = setting.problem.new_model()
    assert type(model).__module__ == "torchvision.models"
    images: Tensor = setting.problem.train[0]
    assert images.shape[1:] == (3, 14, 14)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_the_resnet_is_torchvisions_to_the_last_bit() -> None:
    # A torchvision built for CUDA lacks these two operators in a CPU build of torch; nothing here calls them.
    operators = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    theirs = importlib.import_module("torchvision.models").resnet18()
    ours = resnet().ResNet18()
    assert digest(theirs) == RESNET_18
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 64, 64)
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
