"""Which rows of a table train, decide and report: official splits, groups, duplicates, time, classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from fallline._errors import RefusedError
from fallline.doors import _prepare
from fallline.doors._rows import BLOCKS, official_split
from fallline.doors.table import ENTRY

open_table = ENTRY.read

ROWS = 600


def opened(folder: Path, target: str = "y", **columns: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    """The problem of a table with these columns, and the part of each row."""
    random = np.random.default_rng(0)
    options = {name: columns.pop(name) for name in ("group", "time", "metric", "seed") if isinstance(columns.get(name), str | int)}
    frame = pl.DataFrame({"x": random.normal(size=ROWS), "y": random.normal(size=ROWS), **columns})
    frame.write_csv(folder / "table.csv")
    problem = open_table(folder / "table.csv", target=target, **options)
    return problem, _prepare.part_of_row(problem.origin.preparation)


def test_a_split_column_is_the_official_split(tmp_path: Path) -> None:
    words = np.array(["train", "Dev", "test", "train", ""] * (ROWS // 5))
    problem, part = opened(tmp_path, Split=words)
    assert (part[words == "train"] == 0).all()
    assert (part[words == "Dev"] == 1).all()
    assert (part[words == "test"] == 2).all()
    assert (part[words == ""] == 3).all()
    assert [spec["name"] for spec in problem.origin.preparation["columns"]] == ["x"]
    assert any("official split" in note for note in problem.origin.notes)


def test_what_the_official_split_lacks_is_carved_off_train(tmp_path: Path) -> None:
    words = np.array(["train", "train", "test"] * (ROWS // 3))
    _, part = opened(tmp_path, split=words)
    assert (part[words == "test"] == 2).all()
    assert (part == 1).sum() == pytest.approx(0.2 * (words == "train").sum(), abs=1)


def test_a_large_official_valid_is_halved(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": np.arange(6000) % 997, "y": np.random.default_rng(0).normal(size=6000), "split": ["train", "val"] * 3000})
    frame.write_csv(tmp_path / "table.csv")
    problem = open_table(tmp_path / "table.csv", target="y")
    assert [len(part[1]) for part in (problem.train, problem.valid, problem.audit)] == [3000, 1500, 1500]


@pytest.mark.parametrize("words", [["left", "right"], ["train", "other"], ["train"], ["test", "valid"], ["1", "2"]])
def test_another_column_called_split_is_a_column(words: list[str]) -> None:
    assert official_split(pl.Series("split", words * 10)) is None


def test_groups_stay_in_one_part_and_are_no_feature(tmp_path: Path) -> None:
    shop = np.random.default_rng(1).integers(0, 60, ROWS)
    problem, part = opened(tmp_path, shop=[f"s{number}" for number in shop], group="shop")
    assert all(len(set(part[shop == number])) == 1 for number in range(60))
    assert [spec["name"] for spec in problem.origin.preparation["columns"]] == ["x"]
    assert len(np.unique(problem.origin.audit_groups)) == len(np.unique(shop[part == 2]))
    assert any("60 groups" in note for note in problem.origin.notes)


def test_rows_without_a_group_are_groups_of_their_own(tmp_path: Path) -> None:
    shop = [f"s{i % 20}" if i % 2 else None for i in range(ROWS)]
    problem, part = opened(tmp_path, shop=shop, group="shop")
    alone = np.array([name is None for name in shop])
    assert set(part[alone]) == {0, 1, 2}
    assert any("300 rows without one" in note for note in problem.origin.notes)


def test_equal_rows_never_cross(tmp_path: Path) -> None:
    x = np.random.default_rng(2).integers(0, 200, ROWS).astype(float)
    colour = np.array(["red", "blue"] * (ROWS // 2))
    problem, part = opened(tmp_path, x=x, colour=colour)
    for value in range(200):
        for name in ("red", "blue"):
            assert len(set(part[(x == value) & (colour == name)])) <= 1
    assert problem.origin.audit_groups is not None
    assert any("equal features stay in one part" in note for note in problem.origin.notes)


def test_a_row_number_or_an_identifier_hides_no_duplicates(tmp_path: Path) -> None:
    x = np.repeat(np.arange(ROWS // 3), 3)
    _, part = opened(tmp_path, x=x, number=np.arange(1, ROWS + 1), key=[f"k{i}" for i in range(ROWS)])
    assert (part.reshape(-1, 3) == part[::3, None]).all()


def test_the_latest_rows_decide_and_report(tmp_path: Path) -> None:
    time = np.random.default_rng(3).permutation(ROWS)
    days = [f"2020-01-01 {hour // 60 % 24:02}:{hour % 60:02}" for hour in time]
    for column in (time, days):
        problem, part = opened(tmp_path, when=column, time="when")
        order = part[np.argsort(time)]
        used = order[order < 3]
        assert (np.diff(used.astype(int)) >= 0).all()
        assert (order == 3).any(), "a gap lies between the parts"
        assert len(np.unique(problem.origin.audit_groups)) == BLOCKS


def test_with_time_nothing_that_only_passes_is_a_feature(tmp_path: Path) -> None:
    days = pl.datetime_range(pl.datetime(2020, 1, 1), pl.datetime(2021, 8, 22), "1d", eager=True).dt.strftime("%Y-%m-%d")
    dated, _ = opened(tmp_path, when=days[:ROWS], time="when")
    spec = next(spec for spec in dated.origin.preparation["columns"] if spec["name"] == "when")
    assert spec["passing"] == []
    assert spec["turning"] == ["day of year", "day of week"]
    numbered, _ = opened(tmp_path, when=np.arange(ROWS) + 1700, time="when")
    assert [spec["name"] for spec in numbered.origin.preparation["columns"]] == ["x"]


def test_a_table_with_dates_says_that_rows_are_split_at_random(tmp_path: Path) -> None:
    problem, _ = opened(tmp_path, when=[f"2020-{1 + i % 12:02}-01" for i in range(ROWS)])
    assert any("say --time when" in note for note in problem.origin.notes)


def test_classes_keep_their_proportions_and_a_single_row_trains(tmp_path: Path) -> None:
    y = np.array((["a"] * 8 + ["b"] * 2) * (ROWS // 10))
    y[0] = "single"
    problem, part = opened(tmp_path, y=y)
    assert part[0] == 0
    for code in range(3):
        assert (y[part == code] == "b").mean() == pytest.approx(0.2, abs=0.02)
    assert any("one class has one row only" in note for note in problem.origin.notes)


def test_rows_without_a_target_are_in_no_part(tmp_path: Path) -> None:
    y = np.random.default_rng(4).normal(size=ROWS)
    y[::3] = np.nan
    problem, part = opened(tmp_path, y=pl.Series(y).fill_nan(None))
    assert (part[::3] == 3).all()
    assert "left out 200 rows without a value of y" in problem.origin.notes


def test_a_time_that_some_rows_lack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="1 of 600 have none"):
        opened(tmp_path, when=[None, *range(1, ROWS)], time="when")
