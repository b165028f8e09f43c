"""The door for Python files: `def problem()`, run as its folder's script would be; what is wrong with one is said plainly."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fallline._data import open_data
from fallline._errors import RefusedError, UsageError
from fallline._problem import Problem
from fallline.doors import open_problem

HEAD = "import torch\nimport fallline\n"
SOUND = (
    HEAD
    + """
def problem():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    return fallline.Problem(model=lambda: torch.nn.Linear(3, 1), train=(x, x.sum(1, keepdim=True)), metric="mae", epochs=7)
"""
)


@pytest.fixture(autouse=True)
def _imports_put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def opened(folder: Path, text: str, name: str = "work.py", **options: Any) -> Problem:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return open_problem(path, **options)


def test_the_problem_that_the_file_returns(tmp_path: Path) -> None:
    problem = opened(tmp_path, SOUND, seed=3)
    assert (problem.metric, problem.epochs) == ("mae", 7)
    assert problem.origin.kind == "python_file"
    assert problem.origin.source == str(tmp_path / "work.py")
    assert problem.origin.options == {"seed": 3}
    assert open_data(problem).train.size == 130


def test_options_take_the_place_of_what_the_file_says_and_are_noted(tmp_path: Path) -> None:
    problem = opened(tmp_path, SOUND, epochs=2, metric="r2", batch_size=16)
    assert (problem.epochs, problem.metric, problem.batch_size) == (2, "r2", 16)
    assert problem.origin.notes == (
        "metric is r2, as given instead of mae",
        "epochs is 2, as given instead of 7",
        "batch_size is 16, as given",
    )
    assert problem.origin.options == {"metric": "r2", "epochs": 2, "batch_size": 16, "seed": 0}


def test_a_metric_given_drops_the_direction_of_the_files_own(tmp_path: Path) -> None:
    own = SOUND.replace('metric="mae"', 'metric=lambda output, target: 0.0, direction="min"')
    problem = opened(tmp_path, own, metric="r2")
    assert problem.direction is None
    assert problem.origin.notes == ("metric is r2, as given instead of <lambda>",)


def test_files_beside_it_can_be_imported_and_classes_pickled(tmp_path: Path) -> None:
    (tmp_path / "beside_it.py").write_text("import torch\nclass Net(torch.nn.Linear):\n    pass\n", encoding="utf-8")
    text = SOUND.replace("def problem", "import beside_it\nimport pickle\nclass Own:\n    pass\npickle.dumps(Own())\ndef problem")
    problem = opened(tmp_path, text.replace("torch.nn.Linear(3, 1)", "__import__('beside_it').Net(3, 1)"))
    assert type(problem.new_model()).__name__ == "Net"


def test_a_file_called_like_a_library_hides_nothing(tmp_path: Path) -> None:
    assert opened(tmp_path, SOUND, "scipy.py").epochs == 7
    assert "scipy" not in sys.modules or hasattr(sys.modules["scipy"], "__version__")


def test_the_file_runs_anew_each_time(tmp_path: Path) -> None:
    opened(tmp_path, SOUND)
    assert opened(tmp_path, SOUND.replace("epochs=7", "epochs=8")).epochs == 8


# (text, what must be said)
NO_FUNCTION: dict[str, tuple[str, tuple[str, ...]]] = {
    "empty file": ("", ("has no function problem()", "no function", "write a function `def problem():`")),
    "nearly": ("def problme(): ...\n", ("has no function problem()", "is problme meant?")),
    "other functions": ("def load(): ...\ndef main(): ...\n", ("it defines load, main",)),
    "no function": ("problem = 3\n", ("problem must be a function, it is an int",)),
    "a problem itself": (SOUND.replace("def problem", "def make") + "problem = make()\n", ("must be a function, it is a Problem",)),
    "arguments": ("def problem(path): ...\n", ("must take no arguments", "path", "give them defaults")),
    "returns nothing": ("def problem():\n    3\n", ("must return a fallline.Problem, it returned nothing: is its return missing?",)),
    "returns something else": ("def problem():\n    return [1]\n", ("it returned a list",)),
}


@pytest.mark.parametrize("case", NO_FUNCTION)
def test_a_file_without_a_problem(case: str, tmp_path: Path) -> None:
    text, said = NO_FUNCTION[case]
    with pytest.raises(UsageError) as refusal:
        opened(tmp_path, text)
    assert all(part in str(refusal.value) for part in said), refusal.value
    assert str(tmp_path / "work.py") in str(refusal.value)


def test_what_problem_raises_is_shown_below_our_message(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refusal:
        opened(tmp_path, "def deep():\n    return {}['key']\n\ndef problem():\n    return deep()\n")
    first, *rest = str(refusal.value).splitlines()
    assert first == f"{tmp_path / 'work.py'}: problem() raised KeyError: 'key'; correct it, then try again. Its traceback:"
    assert rest[0] == "Traceback (most recent call last):"
    assert f'{tmp_path / "work.py"}", line 5, in problem' in rest[1], "it begins in the user's file"
    assert rest[-1] == "KeyError: 'key'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_module\n", "raised while it was loaded ModuleNotFoundError"),
        ("raise SystemExit('enough')\n", "raised while it was loaded SystemExit: enough"),
        ("open('no_such_file')\n", "raised while it was loaded FileNotFoundError"),
        ("def problem():\n    exit(3)\n", "problem() raised SystemExit: 3"),
        ("def problem(:\n", "is no valid Python: invalid syntax (line 1)"),
        ("def problem():\nreturn 3\n", "is no valid Python"),
        ("x = '\0'\n", "is no valid Python"),
    ],
)
def test_a_file_that_fails(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as refusal:
        opened(tmp_path, text)
    assert said in str(refusal.value)


def test_a_file_in_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "work.py"
    path.write_bytes("name = 'größe'\n".encode("latin-1"))
    with pytest.raises(RefusedError, match=r"no valid Python|no UTF-8"):
        open_problem(path)


def test_our_own_refusals_keep_their_words_and_gain_a_line(tmp_path: Path) -> None:
    wrong = SOUND.replace("epochs=7", "epochs=-7")
    with pytest.raises(UsageError, match=r"work\.py, line 6: epochs must be positive, got -7"):
        opened(tmp_path, wrong)


def test_a_table_option_for_a_python_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"work\.py is a Python file, for which 'target' means nothing"):
        opened(tmp_path, SOUND, target="y")


def test_ctrl_c_goes_through(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, "def problem():\n    raise KeyboardInterrupt\n")
