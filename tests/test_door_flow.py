"""Every door through the whole flow: chosen for, gone on with after a stop, and repeated by a script that stands alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from door_files import FILES
from exporting import Checker

from fallline._cli import main
from fallline._data import open_data
from fallline._fingerprint import fingerprint
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


def test_every_door_but_that_for_python_files_can_be_exported() -> None:
    assert [name for name, door in doors().items() if not door.parts] == ["python_file"]
