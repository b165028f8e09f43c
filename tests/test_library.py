"""Any other optimizer of pytorch_optimizer can be named: it keeps the contract, pauses and is exported; others are refused in one line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened
from test_pausing import bench, check, chosen, recipe

import fallline
from fallline import catalogue
from fallline._cli import main
from fallline._constraints import Constraints
from fallline._errors import UsageError
from fallline._recipe import Part, Recipe
from fallline._step import start
from fallline.catalogue import _library
from fallline.testing.catalogue import COMMON, checks

ROOT = Path(__file__).resolve().parents[1]
NAMES = _library.names()
# One that reads the loss, one that is no number's neighbour (MADGRAD keeps a step that belongs to no weight), one with an lr for the rest,
# one that judges other weights, and the one that people name first.
HANDFUL = ("adabelief", "emonavi", "madgrad", "normuon", "schedule_free_radam")
WHERE = 'needs the extra: pip install "fallline[optimizers]"'


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


# Names ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    ["adabelief", "AdaBelief", "ada-belief", "pytorch_optimizer:AdaBelief", "pytorch_optimizer.AdaBelief", "Pytorch-Optimizer: adabelief"],
)
def test_a_name_is_understood_however_it_is_written(typed: str) -> None:
    assert catalogue.optimizer(typed).name == "adabelief"


def test_an_entry_with_a_file_of_its_own_comes_first_and_the_package_before_a_name_means_its_class() -> None:
    assert catalogue.optimizer("lion") is catalogue.optimizer("pytorch_optimizer:Lion")
    assert not catalogue.optimizer("muon").package
    assert catalogue.optimizer("pytorch_optimizer:AdaFactor").name == "big_vision_adafactor"
    with pytest.raises(UsageError, match="the entry muon is the same rule"):
        catalogue.optimizer("pytorch_optimizer:Muon")
    with pytest.raises(UsageError, match="wraps another optimizer"):
        catalogue.optimizer("lookahead")
    with pytest.raises(UsageError, match="unknown optimizer 'adabelif'; did you mean adabelief"):
        catalogue.optimizer("adabelif")


def test_no_name_is_taken_twice() -> None:
    taken = [*catalogue.all_optimizers(), *(alias for entry in catalogue.all_optimizers().values() for alias in entry.aliases)]
    taken += [known.name for known in catalogue.SET_ASIDE if known.kind == "optimizer"]
    assert not {*NAMES} & {*taken}
    assert {*_library.record()["entries"].values()} <= {*catalogue.all_optimizers()}
    classes = [row["class"] for row in _library.record()["optimizers"].values()]
    assert len({*classes, *_library.refused(), *_library.record()["entries"]}) == len(classes) + len(_library.refused()) + len(
        _library.record()["entries"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_each_has_facts_a_space_and_a_page(name: str) -> None:
    entry = catalogue.optimizer(name)
    assert entry.name == name
    for check_one in COMMON:
        check_one(entry, 0)


def test_settings_of_a_named_optimizer_can_be_fixed() -> None:
    kept = Constraints.of({"optimizer": "AdaBound", "final_lr": 0.5})
    assert kept.to_dict() == {"names": {"optimizer": "adabound"}, "settings": {"final_lr": 0.5}, "losses": []}
    made = recipe(optimizer=chosen(catalogue.optimizer("adabound"), {}))
    applied = kept.apply(made)
    assert applied is not None
    assert applied.optimizer.settings["final_lr"] == 0.5
    assert Recipe.from_toml(applied.to_toml()).optimizer == applied.optimizer
    with pytest.raises(UsageError, match="yogi has no weight_decay"):
        Constraints.of({"optimizer": "yogi", "weight_decay": 0.1})
    with pytest.raises(UsageError, match="unknown constraint 'final_lr'"):
        Constraints.of({"optimizer": "adabelief", "final_lr": 0.5})


# Without the package -------------------------------------------------------------------------------------------------------------------


def test_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
    monkeypatch.setattr(catalogue, "find_spec", lambda package: None)
    monkeypatch.chdir(tmp_path)
    rows = "\n".join(f"{i},{i % 7},{i % 7 * 2}" for i in range(600))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}\n", encoding="utf-8")
    assert main(["choose", "t.csv", "--target", "y", "--optimizer", "adabelief", "--price", "1", "-q"]) == 2
    said = capsys.readouterr().err.strip()
    assert said == 'error: optimizer adabelief needs an extra package: pip install "fallline[optimizers]"'
    recipe_file = tmp_path / "recipe.toml"
    recipe_file.write_text(recipe(optimizer=chosen(catalogue.optimizer("adabelief"), {}), steps=10).to_toml(), encoding="utf-8")
    assert main(["train", "t.csv", "--target", "y", "--recipe", "recipe.toml", "-q"]) == 2
    assert 'pip install "fallline[optimizers]"' in capsys.readouterr().err


def test_names_and_pages_are_read_without_torch() -> None:
    program = (
        "import sys\nfrom fallline.catalogue import _library, optimizer\n"
        "assert all(optimizer(name).text for name in _library.names())\n"
        "print(sorted({'torch', 'numpy', 'pytorch_optimizer'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == "[]"


def test_pages_and_lists_say_what_can_be_named_and_what_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "AdaBelief"]) == 0
    assert "pytorch_optimizer.AdaBelief" in capsys.readouterr().out
    assert main(["explain", "galore"]) == 2
    assert "carry a rank" in capsys.readouterr().err
    assert main(["catalogue", "optimizers"]) == 0
    assert f"{len(NAMES)} others, of pytorch_optimizer, can be named as well" in capsys.readouterr().out
    assert main(["catalogue", "optimizers", "--all"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in listed for name in [*NAMES, *_library.refused()])


# With it -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HANDFUL)
def test_a_named_optimizer_keeps_the_contract(name: str) -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    for check_one in checks(catalogue.optimizer(name)):
        check_one(catalogue.optimizer(name), 0)


def goes_on(name: str) -> None:
    entry = catalogue.optimizer(name)
    check(bench(), recipe(optimizer=chosen(entry)))
    check(bench(), recipe(optimizer=chosen(entry, {}), decay_on="all", keep="best"))


def is_exported(name: str, folder: Path, check_same: Checker) -> None:
    entry = catalogue.optimizer(name)
    schedule = {"schedule": Part("cosine", {**catalogue.schedule("cosine").defaults()})}
    text = check_same(opened(folder), {"optimizer": Part(name, dict(entry.example)), **(schedule if entry.heeds_schedule else {})})
    assert f"pytorch_optimizer.{entry.title}(" in text


@pytest.mark.parametrize("name", HANDFUL)
def test_a_named_optimizer_goes_on_as_if_there_had_been_no_pause(name: str) -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    goes_on(name)


@pytest.mark.parametrize("name", HANDFUL)
def test_a_named_optimizer_steps_in_the_script(name: str, tmp_path: Path, check_same: Checker) -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    is_exported(name, tmp_path / "work", check_same)


@pytest.mark.parametrize("engine", ["sequential", "processes"])
def test_a_race_tries_the_one_that_is_named_and_no_other(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    monkeypatch.chdir(tmp_path)
    verdict = fallline.choose(opened(tmp_path / "work"), price=2, seed=3, engine=engine, optimizer="pytorch_optimizer:AdaBelief")
    tried = {entry["recipe"]["optimizer"]["name"] for entry in verdict.document["candidates"]}
    assert tried == {"adamw", "adabelief"}  # the baseline is apart from constraints


def test_what_the_class_itself_refuses_is_one_line() -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    entry = catalogue.optimizer("adabelief")
    with pytest.raises(UsageError, match=r"pytorch_optimizer\.AdaBelief does not take these settings: "):
        entry.build([{"params": [torch.nn.Parameter(torch.zeros(2))], "decay": True}], {**entry.defaults(), "beta1": 1.5})


def test_one_that_cannot_step_in_double_precision_is_refused_there() -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    with pytest.raises(UsageError, match="does not train in double precision"):
        start(bench(precision="64"), recipe(optimizer=chosen(catalogue.optimizer("fadam"), {})))


def test_a_class_that_another_version_lacks_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("pytorch_optimizer", reason=WHERE)
    monkeypatch.delattr(package, "AdaBelief")
    entry = catalogue.optimizer("adabelief")
    with pytest.raises(UsageError, match="the installed pytorch_optimizer has no AdaBelief"):
        entry.build([{"params": [torch.nn.Parameter(torch.zeros(2))], "decay": True}], entry.defaults())


def tool() -> Any:
    spec = spec_from_file_location("record_optimizers", ROOT / "tools" / "record_optimizers.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_optimizer_of_the_package_can_be_named_or_is_refused_with_the_reason() -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    if version("pytorch_optimizer") != _library.record()["version"]:
        pytest.skip("another version is installed than the one that was recorded")
    known = {*_library.refused(), *_library.record()["entries"], *(row["class"] for row in _library.record()["optimizers"].values())}
    assert known == {*tool().optimizers()}


@pytest.mark.slow
@pytest.mark.timeout(900)  # some hundred seconds on a quiet core
def test_the_record_is_what_the_contract_finds() -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    if version("pytorch_optimizer") != _library.record()["version"]:
        pytest.skip("another version is installed than the one that was recorded")
    threads = torch.get_num_threads()
    try:
        assert tool().recorded() == _library.record()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_all_that_can_be_named_go_on_after_pauses_and_step_in_scripts(name: str, tmp_path: Path, check_same: Checker) -> None:
    pytest.importorskip("pytorch_optimizer", reason=WHERE)
    goes_on(name)
    is_exported(name, tmp_path / "work", check_same)
