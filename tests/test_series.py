"""Series through their door: steps and windows, gaps, parts in the order of time, the user's units, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from door_files import series

import fallline
from fallline._errors import RefusedError, UsageError
from fallline._setting import prepare
from fallline.doors import open_problem
from fallline.doors._prepare_series import bridged, window_starts
from fallline.doors.models.dlinear import DLinear

Rows = list[tuple[Any, ...]]


def line(count: int = 120, start: str = "2020-01-01", unit: str = "D") -> Rows:
    """A series whose value is the number of its row."""
    return [(np.datetime64(start) + np.timedelta64(row, unit), row) for row in range(count)]


def opened(folder: Path, rows: Rows, header: str = "t,x", **options: Any) -> Any:
    return open_problem(series(folder, rows, header), **{"time": "t", "horizon": 3, "lookback": 5, **options})


def in_units(problem: Any, values: torch.Tensor) -> torch.Tensor:
    location, spread = problem.origin.scale
    return (values * spread + location).round()


def spec(problem: Any) -> dict[str, Any]:
    found: dict[str, Any] = problem.origin.preparation["series"]
    return found


def test_a_window_is_followed_by_its_horizon(tmp_path: Path) -> None:
    problem = opened(tmp_path, line())
    inputs, target = problem.train
    assert inputs.shape[1:] == (5, 1)
    assert in_units(problem, inputs[10, :, 0]).tolist() == [10, 11, 12, 13, 14]
    assert in_units(problem, target[10]).tolist() == [15, 16, 17]


def test_parts_follow_the_time_and_share_no_target(tmp_path: Path) -> None:
    problem = opened(tmp_path, line())
    steps = [in_units(problem, part[1]) for part in (problem.train, problem.valid, problem.audit)]
    for earlier, later in itertools.pairwise(steps):
        assert int(later.min()) == int(earlier.max()) + 1
    assert problem.origin.reopen is None
    assert problem.origin.audit_groups is not None


def test_several_series_are_forecast_together(tmp_path: Path) -> None:
    problem = open_problem(series(tmp_path), time="day", horizon=2)
    assert problem.train[1].shape[1:] == (2, 2)
    assert problem.new_model()(problem.train[0][:4]).shape == (4, 2, 2)
    one = open_problem(series(tmp_path), time="day", horizon=2, target="heat")
    assert one.train[1].shape[1:] == (2,)
    assert "forecast: heat; not read: load" in one.origin.notes


def test_scales_come_from_train_alone_and_the_metric_is_in_the_users_units(tmp_path: Path) -> None:
    rows = line(120)
    problem = opened(tmp_path, [(day, value if value < 60 else 1000 * value) for day, value in rows], metric="mae")
    seen = in_units(problem, problem.train[0]).max()
    assert problem.origin.scale[0] < float(seen)
    setting = prepare(problem)
    targets = setting.data.targets("valid")
    assert setting.judge.value(targets + 1.0, targets, None) == pytest.approx(problem.origin.scale[1], rel=1e-3)


RULE: dict[str, tuple[Rows, int, int]] = {
    "hours": (line(400, "2020-01-01T00:00", "h"), 3, 48),
    "days": (line(400), 3, 14),
    "weeks": ([(np.datetime64("2000-01-01") + 7 * row, row) for row in range(600)], 4, 104),
    "months": ([(np.datetime64("1960-01") + row, row) for row in range(300)], 6, 24),
    "the ends of quarters": ([(np.datetime64("1960-01") + 3 * row + 2, row) for row in range(300)], 2, 8),
    "years as numbers": ([(1700 + row, row) for row in range(300)], 11, 33),
    "a short series": (line(80), 10, 16),
}


@pytest.mark.parametrize("case", RULE)
def test_the_lookback_is_three_horizons_or_two_seasons_or_a_fifth(case: str, tmp_path: Path) -> None:
    rows, horizon, lookback = RULE[case]
    problem = opened(tmp_path, rows, horizon=horizon, lookback=None)
    assert spec(problem)["lookback"] == lookback


def test_missing_rows_are_no_targets_and_short_gaps_are_bridged(tmp_path: Path) -> None:
    rows = [row for number, row in enumerate(line(200)) if number not in (50, 100, 101, 102)]
    problem = opened(tmp_path, rows, lookback=10)
    assert spec(problem)["unit"] == "seconds"
    targets = torch.cat([in_units(problem, part[1]).reshape(-1) for part in (problem.train, problem.valid, problem.audit)])
    inputs = torch.cat([in_units(problem, part[0]).reshape(-1) for part in (problem.train, problem.valid, problem.audit)])
    assert not set(targets.tolist()) & {50, 100, 101, 102}
    assert 50 in inputs.tolist()
    assert 101 not in inputs.tolist()
    assert any(note.startswith("4 of 200 steps have no value") for note in problem.origin.notes)


def test_gaps_and_windows_by_hand() -> None:
    values = np.array([[0.0], [np.nan], [2.0], [np.nan], [np.nan], [5.0], [6.0], [7.0]])
    filled = bridged(values, 1)
    assert filled[:3, 0].tolist() == [0, 1, 2]
    assert bool(np.isnan(filled[3:5]).all())
    assert window_starts(values, filled, 2, 1).tolist() == [0, 5]


def test_working_days_count_row_by_row(tmp_path: Path) -> None:
    rows = [(day, value) for day, value in line(300) if np.is_busday(day)]
    problem = opened(tmp_path, rows)
    assert spec(problem)["unit"] == "rows"
    assert any("so each row counts as one step" in note for note in problem.origin.notes)


def test_rows_that_repeat_time_and_value_count_once(tmp_path: Path) -> None:
    rows = [row for row in line() for _ in range(2)]
    problem = opened(tmp_path, rows)
    assert in_units(problem, problem.train[0][0, :, 0]).tolist() == [0, 1, 2, 3, 4]
    assert "120 rows repeat the time and the values of the row before and count once" in problem.origin.notes


def test_the_model_moves_with_the_level_of_its_window() -> None:
    torch.manual_seed(0)
    model = DLinear(lookback=12, horizon=3, series=2)
    windows = torch.randn(4, 12, 2)
    assert torch.allclose(model(windows + 100.0), model(windows) + 100.0, atol=1e-4)


def _swapped(rows: Rows) -> Rows:
    return [*rows[:40], rows[41], rows[40], *rows[42:]]


REFUSED: dict[str, tuple[Rows, dict[str, Any], type[Exception], str]] = {
    "times that go back": (_swapped(line()), {}, RefusedError, "times go back in row 42 below the header"),
    "two values at one time": ([*line(), ("2020-04-29", 7)], {}, RefusedError, "x has two values at 2020-04-29"),
    "a row without a time": ([*line(), ("", 7)], {}, RefusedError, "holds no time in row 121"),
    "a horizon longer than the series": (line(), {"horizon": 500}, UsageError, "are longer than the series of 120 steps"),
    "a horizon too long to split": (line(), {"horizon": 50}, UsageError, "horizon 50 is too long"),
    "a horizon of nothing": (line(), {"horizon": 0}, UsageError, "horizon must be a whole number"),
    "a lookback of nothing": (line(), {"lookback": -1}, UsageError, "lookback must be a whole number"),
    "no time": (line(), {"time": None}, UsageError, "name it with --time"),
    "the time as target": (line(), {"target": "t"}, UsageError, "--time names the target"),
    "a series that is not there": (line(), {"target": "y"}, UsageError, "no column 'y' to predict"),
    "words": ([(day, "abc"[value % 3]) for day, value in line()], {}, RefusedError, "no column of numbers to forecast"),
    "words by name": ([(day, "abc"[value % 3]) for day, value in line()], {"target": "x"}, RefusedError, "holds no numbers"),
    "a constant": ([(day, 1) for day, _ in line()], {}, RefusedError, "has one value only in the training part"),
    "another task": (line(), {"task": "multiclass"}, UsageError, "a forecast is a regression"),
    "a metric of classes": (line(), {"metric": "accuracy"}, UsageError, "the task here is regression"),
    "one time": ([("2020-01-01", 1)] * 100, {}, RefusedError, "at least 3 different times"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_series_that_cannot_be_used_get_one_message(case: str, tmp_path: Path) -> None:
    rows, options, error, told = REFUSED[case]
    with pytest.raises(error) as refusal:
        opened(tmp_path, rows, **options)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "time", "horizon", "target"),
    [
        ("mauna_loa_co2_weekly", "date", 4, None),
        ("airline_passengers", "month", 12, None),
        ("sunspots_yearly", "year", 11, None),
        ("metro_traffic_hourly", "date_time", 24, "traffic_volume"),
    ],
)
def test_the_development_series_open(file: str, time: str, horizon: int, target: str | None, shared_data: Path) -> None:
    problem = open_problem(shared_data / "series" / f"{file}.csv.gz", time=time, horizon=horizon, target=target)
    columns = pl.read_csv(shared_data / "series" / f"{file}.csv.gz", n_rows=1).columns
    assert problem.origin.kind == "series"
    assert spec(problem)["series"][0] in columns
    assert spec(problem)["unit"] != "rows"


# covariates --------------------------------------------------------------------------------------------------------------------------


def led(count: int = 300) -> Rows:
    """A series that follows a column of noise two steps later, and a column of words."""
    noise = np.random.default_rng(0).normal(size=count + 2)
    day = np.datetime64("2020-01-01")
    return [(day + np.timedelta64(row, "D"), noise[row], noise[row + 2], "a") for row in range(count)]


def test_covariates_are_seen_up_to_the_forecast_and_are_no_target(tmp_path: Path) -> None:
    problem = opened(tmp_path, led(), header="t,x,lead,word", target="x", covariates="lead", horizon=2)
    inputs, target = problem.train
    assert inputs.shape[1:] == (5, 2)
    assert target.shape[1:] == (2,)
    location, spread = spec(problem)["covariate_scale"]
    lead = inputs[:, :, 1] * spread[0] + location[0]
    wanted = torch.tensor([row[2] for row in led()[3:8]], dtype=torch.float32)
    torch.testing.assert_close(lead[3], wanted)
    units = target * problem.origin.scale[1] + problem.origin.scale[0]
    torch.testing.assert_close(units[3], lead[3, -2:])  # what comes is what the covariate said two steps before
    assert "forecast: x; seen besides, up to the forecast: lead; not read: word" in problem.origin.notes


def test_a_covariate_that_leads_is_made_use_of_and_what_it_adds_begins_at_nothing(tmp_path: Path) -> None:
    with_lead = opened(tmp_path, led(), header="t,x,lead,word", target="x", covariates="all", horizon=2, metric="mae", epochs=60)
    without = opened(tmp_path, led(), header="t,x,lead,word", target="x", horizon=2, metric="mae", epochs=60)
    assert any("say --covariates" in note for note in without.origin.notes)
    windows = with_lead.train[0][:4]
    torch.testing.assert_close(with_lead.new_model(0)(windows), without.new_model(0)(windows[:, :, :1]))
    errors = [prepare_and_train(problem) for problem in (with_lead, without)]
    assert errors[0] < 0.5 * errors[1], errors


def prepare_and_train(problem: Any) -> float:
    from fallline._recipe import Part, Recipe

    recipe = Recipe(loss=Part("mse"), optimizer=Part("adamw", {"lr": 0.01}), evaluations=1)
    return float(fallline.train(problem, recipe).audit)


def test_a_gap_in_a_covariate_leaves_out_the_windows_that_meet_it_and_no_target(tmp_path: Path) -> None:
    rows = [(time, value, None if 100 <= row < 110 else lead, word) for row, (time, value, lead, word) in enumerate(led())]
    whole, holed = (opened(tmp_path, given, header="t,x,lead,word", target="x", covariates="lead") for given in (led(), rows))
    counts = [sum(len(part[1]) for part in (problem.train, problem.valid, problem.audit)) for problem in (whole, holed)]
    assert counts[0] - counts[1] == 10 + 5 - 1


WRONG = {
    "a word": ({"target": "x", "covariates": "word"}, RefusedError, "covariate 'word' holds no numbers"),
    "what is forecast": ({"target": "x", "covariates": "x"}, UsageError, "column 'x' is forecast, so it is no covariate"),
    "the time": ({"target": "x", "covariates": "t"}, UsageError, "column 't' is the time, so it is no covariate"),
    "what is not there": ({"target": "x", "covariates": "led"}, UsageError, "lead"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_covariate_that_cannot_be_is_refused(case: str, tmp_path: Path) -> None:
    options, kind, why = WRONG[case]
    with pytest.raises(kind, match=why):
        opened(tmp_path, led(), header="t,x,lead,word", **options)
