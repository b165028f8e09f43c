"""Bad tables, and bad ways to ask for one: one clear message each, with the exit code of its kind."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fallline._data import open_data
from fallline._errors import RefusedError, UsageError
from fallline.doors import open_problem

ROWS = 200
RANDOM = np.random.default_rng(0)
A, B, Y = (RANDOM.normal(size=ROWS).round(4).tolist() for _ in range(3))
C = ["red", "green", "blue", "red"] * (ROWS // 4)


def csv(**columns: Any) -> str:
    """A table with columns a, b, c and y, or others in their place (None: without it)."""
    whole = {"a": A, "b": B, "c": C, "y": Y, **columns}
    kept = {name: values for name, values in whole.items() if values is not None}
    lines = [",".join(kept), *(",".join("" if value is None else str(value) for value in row) for row in zip(*kept.values(), strict=True))]
    return "\n".join(lines) + "\n"


def with_value(values: list[Any], row: int, value: Any) -> list[Any]:
    return [*values[:row], value, *values[row + 1 :]]


# name: (content, what must be said)
FILES: dict[str, tuple[str | bytes, tuple[str, ...]]] = {
    "empty": ("", ("is empty", "a line of column names")),
    "blank lines only": ("\n\n \n", ("only blank lines",)),
    "header only": ("a,b,y\n", ("column names and no rows",)),
    "ragged, a short row": (csv() + "1,2\n", ("ragged", "names 4 columns", "1 of its 201 rows", "line 202 has 2")),
    "ragged, a long row": (csv() + "1,2,red,4,5\n", ("ragged", "line 202 has 5", "quotation marks around values that contain commas")),
    "ragged, each row ends with a comma": (csv().replace("\n", ",\n").replace(",\n", "\n", 1), ("200 of its 200 rows",)),
    "quotation mark never closed": (csv().replace("\n", '\n"', 1), ("line 2 opens a quotation mark",)),
    "quotation mark inside a value": (csv().replace(",red", ',5" red', 1), ('"5"""',)),
    "binary": (bytes(range(256)) * 20, ("binary data", "CSV text")),
    "Parquet by another name": (b"PAR1" + bytes(100), ("name it .parquet",)),
    "Excel by another name": (b"PK\x03\x04" + bytes(100), ("save the sheet as CSV",)),
    "UTF-16": (csv().encode("utf-16"), ("UTF-16", "save it as UTF-8")),
    "not UTF-8": (csv().replace("red", "röd").encode("latin-1"), ("not UTF-8", "0xF6")),
    "gzip broken off": (gzip.compress(csv().encode())[:-200], ("damaged",)),
    "two columns of one name": (csv().replace("a,b", "a, a", 1), ("more than one column called 'a'",)),
    "no header": (csv(c=None).split("\n", 1)[1], ("no line of column names", "add one")),
    "target without a value": (csv(y=[None] * ROWS), ("target 'y' has no value in any of the 200 rows",)),
    "target NA throughout": (csv(y=["NA"] * ROWS), ("target 'y' has no value",)),
    "constant target": (csv(y=[5] * ROWS), ("one value only, '5' in all 200 rows",)),
    "one class": (csv(y=["dog"] * ROWS), ("one class only, 'dog'",)),
    "one class beside missing values": (csv(y=["dog", None] * (ROWS // 2)), ("one class only", "100 rows")),
    "infinite target": (csv(y=with_value(Y, 7, "inf")), ("infinite in 1 row", "row 8 below the header")),
    "target beyond floats": (csv(y=with_value(with_value(Y, 7, "1e400"), 9, "-inf")), ("infinite in 2 rows", "1e400")),
    "target out of proportion": (csv(y=with_value(Y, 11, "1e300")), ("out of all proportion, such as 1e+300", "unit")),
    "target too small": (csv(y=[value * 1e-200 for value in Y]), ("out of the range of numbers",)),
    "target of names": (csv(y=[f"n{row}" for row in range(ROWS)]), ("200 different texts in 200 rows", "several rows each")),
    "target of dates": (csv(y=[f"2020-01-{1 + row % 28:02}" for row in range(ROWS)]), ("is a date", "days since")),
    "too few rows": ("\n".join(csv().splitlines()[:11]), ("needs 20 rows or more, got 10",)),
    "too few rows with a target": (csv(y=[*Y[:12], *[None] * (ROWS - 12)]), ("needs 20 rows or more, got 12",)),
    "nothing but the target": (csv(a=None, b=None, c=None), ("no column from which 'y'",)),
    "nothing but constants": (csv(a=[1] * ROWS, b=[None] * ROWS, c=None), ("a (all its values are equal), b (it has no value)",)),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_cannot_be_used(case: str, tmp_path: Path) -> None:
    content, said = FILES[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RefusedError) as refusal:
        open_problem(path, target="y")
    assert refusal.value.exit_code == 3
    message = str(refusal.value)
    assert all(part in message for part in said), message
    assert "\n" not in message


def test_free_text_is_refused_by_name(tmp_path: Path) -> None:
    rows = 1_500
    review = [f"this is review {row} of a thing" for row in range(rows)]
    frame = pl.DataFrame({"review": review, "x": RANDOM.normal(size=rows), "y": RANDOM.normal(size=rows)})
    frame.write_csv(tmp_path / "table.csv")
    with pytest.raises(RefusedError, match=r"column 'review' is free text: 1,500 different values.*say --text review"):
        open_problem(tmp_path / "table.csv", target="y")


def test_many_short_names_are_no_free_text(tmp_path: Path) -> None:
    rows = 1_500
    frame = pl.DataFrame({"key": [f"k{row}" for row in range(rows)], "x": RANDOM.normal(size=rows), "y": RANDOM.normal(size=rows)})
    frame.write_csv(tmp_path / "table.csv")
    assert any("key (none of its" in note for note in open_problem(tmp_path / "table.csv", target="y").origin.notes)


def test_lists_in_a_column_are_refused_by_name(tmp_path: Path) -> None:
    pl.DataFrame({"tags": [["a", "b"]] * 50, "y": RANDOM.normal(size=50)}).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(RefusedError, match="column 'tags' holds lists or structures"):
        open_problem(tmp_path / "table.parquet", target="y")
    with pytest.raises(RefusedError, match="target 'tags' holds lists"):
        open_problem(tmp_path / "table.parquet", target="tags")


def test_damaged_parquet(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.write_text(csv(), encoding="utf-8")
    with pytest.raises(RefusedError, match="cannot be read as Parquet"):
        open_problem(path, target="y")
    pl.DataFrame({"a": A, "y": Y}).write_parquet(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RefusedError, match="cannot be read as Parquet"):
        open_problem(path, target="y")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "table.csv"
    path.write_text(csv(), encoding="utf-8")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refused)  # a test may run as root, who may read everything
    with pytest.raises(RefusedError, match="cannot be read: Permission denied"):
        open_problem(path, target="y")


# (options, what must be said)
CALLS: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({}, ("which column is to be predicted?", "a, b, c, y")),
    ({"target": ""}, ("which column is to be predicted?",)),
    ({"target": "Y"}, ("no column 'Y'", "did you mean y?")),
    ({"target": "zzz"}, ("no column 'zzz'", "a, b, c, y")),
    ({"target": "y,zzz"}, ("no column 'zzz'",)),
    ({"target": "y,y"}, ("named twice",)),
    ({"target": "y", "group": "shop"}, ("no column 'shop' for --group",)),
    ({"target": "y", "time": "date"}, ("no column 'date' for --time",)),
    ({"target": "y", "group": "y"}, ("--group names the target",)),
    ({"target": "y", "time": "y"}, ("--time names the target",)),
    ({"target": "y", "metric": "root"}, ("unknown metric 'root'",)),
    ({"target": "y", "metric": "accuracy"}, ("the task here is regression", "Metrics that fit: mae")),
    ({"target": "y", "task": "unknown"}, ("task must be one of",)),
    ({"target": "y", "lookback": 3}, ("'lookback' means nothing", "it takes target")),
    ({"target": "y", "metrc": "mae"}, ("did you mean metric?",)),
    ({"target": "y", "batch_size": 0}, ("batch_size must be",)),
    ({"target": "y", "epochs": -1}, ("epochs must be positive",)),
]


@pytest.mark.parametrize(("options", "said"), CALLS, ids=[str(options) for options, _ in CALLS])
def test_a_call_that_cannot_be_meant(options: dict[str, Any], said: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(csv(), encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        open_problem(path, **options)
    assert refusal.value.exit_code == 2
    assert all(part in str(refusal.value) for part in said), refusal.value


def test_a_batch_larger_than_train(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(csv(), encoding="utf-8")
    with pytest.raises(UsageError, match="batch_size 1000 is larger"):
        open_data(open_problem(tmp_path / "table.csv", target="y", batch_size=1000))


def test_data_that_an_option_cannot_use(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(csv(when=["soon"] * ROWS, shop=["one"] * ROWS), encoding="utf-8")
    with pytest.raises(RefusedError, match="time column 'when' must hold dates or numbers, got 'soon'"):
        open_problem(path, target="y", time="when")
    with pytest.raises(RefusedError, match="group"):
        open_problem(path, target="y", group="shop")
    with pytest.raises(RefusedError, match="'c' is neither"):
        open_problem(path, target="y,c")


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_text(csv(), encoding="utf-8")
    wrong: dict[Path, str] = {
        tmp_path / "house.csv": "in that folder there is houses.csv",
        tmp_path / "zzzzzzzz.parquet": "in that folder there is houses.csv",
        tmp_path / "nowhere" / "houses.csv": "there is no folder",
        tmp_path: "is a folder without sub-folders; a folder of images has one sub-folder a class",
        tmp_path / "houses.xlsx": "there are doors for",
        tmp_path / "houses": "there are doors for",
    }
    for path, said in wrong.items():
        with pytest.raises(UsageError) as refusal:
            open_problem(path)
        assert said in str(refusal.value)


CARELESS: dict[str, Callable[[str], str]] = {
    "spaces in numbers": lambda text: text.replace(",", " ,  "),
    "a column without a name": lambda text: text.replace("a,b", ",b", 1),
    "trailing blank lines": lambda text: text + "\n\n\n",
    "a carriage return at the end": lambda text: text.replace("\n", "\r\n") + "\r\n",
    "quoted lines": lambda text: text.replace("red", '"red, or ""crimson""\nor so"'),
    "no line end at the end": lambda text: text.rstrip("\n"),
}


@pytest.mark.parametrize("case", CARELESS)
def test_careless_but_sound(case: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(CARELESS[case](csv()), encoding="utf-8", newline="")
    problem = open_problem(path, target="y")
    assert len(problem.train[1]) + len(problem.valid[1]) + len(problem.audit[1]) == ROWS
    assert problem.train[0][0].shape[1] == 4
    assert problem.train[0][1].shape[1] == 1
