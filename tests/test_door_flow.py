"""Every door through the whole flow: chosen for, gone on with after a stop, and repeated by a script that stands alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from door_files import FILES, image_folder, images, language, masks, sequences, series, text
from exporting import Checker

import fallline
from fallline._budget import Clock
from fallline._cli import main
from fallline._data import open_data
from fallline._errors import InterruptedRun
from fallline._fingerprint import fingerprint
from fallline._recipe import Recipe
from fallline.doors import doors, open_problem

SHORT = 1.0  # epochs: enough for every part of the flow


def skip_without_pillow(door: str) -> None:
    if door == "image_folder" and importlib.util.find_spec("PIL") is None:
        pytest.skip("Pillow is not installed")


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


def test_every_door_has_a_file_here() -> None:
    assert set(FILES) == set(doors()) - {"table", "python_file"}


@pytest.mark.parametrize("door", FILES)
def test_the_file_goes_to_its_door(door: str, tmp_path: Path) -> None:
    skip_without_pillow(door)
    write, options = FILES[door]
    problem = open_problem(write(tmp_path), **options)
    assert problem.origin.kind == door
    assert problem.origin.preparation is not None


@pytest.mark.parametrize("door", FILES)
def test_the_script_gives_the_weights_and_the_metric_of_train(door: str, tmp_path: Path, check_same: Checker) -> None:
    skip_without_pillow(door)
    write, options = FILES[door]
    check_same(open_problem(write(tmp_path), epochs=SHORT, seed=3, **options), {})


@pytest.mark.parametrize("door", FILES)
def test_a_door_opened_again_gives_the_same_parts(door: str, tmp_path: Path) -> None:
    skip_without_pillow(door)
    write, options = FILES[door]
    path = write(tmp_path)
    first, again = (fingerprint(open_data(open_problem(path, seed=5, **options), 5)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("door", FILES)
def test_a_race_leaves_a_verdict_and_a_second_command_reports_it(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_pillow(door)
    write, options = FILES[door]
    path = write(tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    assert main(["choose", str(path), *flags, "--epochs", "1", "--price", "1", "--out", "run", "-q"]) == 0
    chosen = capsys.readouterr().out
    assert main(["resume", "run"]) == 0
    assert capsys.readouterr().out == chosen


@pytest.mark.parametrize("door", FILES)
def test_a_race_that_was_stopped_goes_on_to_the_same_weights(
    door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_pillow(door)
    write, options = FILES[door]
    problem = open_problem(write(tmp_path), epochs=SHORT, **options)
    monkeypatch.chdir(tmp_path)
    whole = fallline.choose(problem, price=1, out="whole")
    clock = Clock()

    def stop_after_the_first(line: str) -> None:
        clock.stop_asked = clock.stop_asked or line.startswith("run folder")

    with pytest.raises(InterruptedRun, match="fallline resume"):
        fallline.choose(problem, price=1, out="stopped", say=stop_after_the_first, clock=clock)
    assert main(["resume", "stopped", "-q"]) == 0
    capsys.readouterr()
    assert (tmp_path / "stopped" / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert whole.recipe == Recipe.load(tmp_path / "stopped" / "recipe.toml")


def _corrupt_image(folder: Path) -> Path:
    path = image_folder(folder)
    min(path.rglob("*.png")).write_bytes(b"no image")
    return path


def _backwards(folder: Path) -> Path:
    return series(folder, [("2020-01-02", 1), ("2020-01-01", 2), ("2020-01-03", 3)] * 40, "day,x")


BAD: dict[str, tuple[Callable[[Path], Path], list[str], int, str]] = {
    "images": (lambda folder: images(folder, y_train=None), [], 3, "holds no array y_train"),
    "image_folder": (_corrupt_image, [], 3, "cannot be decoded"),
    "masks": (lambda folder: masks(folder, y_train=np.zeros((40, 4, 4), np.uint8)), [], 3, "a mask has the height and width"),
    "text": (lambda folder: text(folder, [("", "a"), ("", "b")] * 50), ["--target", "topic", "--text", "text"], 3, "holds no text"),
    "series": (_backwards, ["--time", "day", "--horizon", "3"], 3, "times go back in row 2"),
    "sequences": (lambda folder: sequences(folder, length=np.zeros(60, np.int64)), [], 3, "is padding alone"),
    "language": (lambda folder: language(folder, "short"), [], 3, "are needed"),
    "a horizon beyond the series": (series, ["--time", "day", "--horizon", "900"], 2, "longer than the series"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_message_a_code_and_leaves_nothing(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_pillow(case)
    write, flags, code, told = BAD[case]
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["choose", str(path), *flags]) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert [line for line in said.err.splitlines() if line.startswith("error: ")] == said.err.splitlines()[-1:]
    assert told in said.err
    assert sorted(tmp_path.iterdir()) == before


def test_every_door_but_that_for_python_files_can_be_exported() -> None:
    assert [name for name, door in doors().items() if not door.parts] == ["python_file"]
