"""The table door: what it reads, what is fitted on train alone, and that the preparation as JSON makes the same tensors again."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fallline._data import open_data
from fallline.doors import _prepare, open_problem
from fallline.doors._columns import CLIP, number_maps
from fallline.doors.table import ENTRY

open_table = ENTRY.read

ROWS = 400


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def frame(random: np.random.Generator) -> pl.DataFrame:
    """A column of every kind, and a number to predict."""
    size = random.normal(50, 10, ROWS)
    size[::9] = np.nan
    return pl.DataFrame(
        {
            "size": pl.Series(size).fill_nan(None),
            "income": np.exp(random.normal(0, 2, ROWS)),
            "colour": random.choice(["red", "green", "blue"], ROWS),
            "sold": [f"2023-{1 + i % 12:02}-{1 + i % 28:02} {i % 24:02}:30:00" for i in range(ROWS)],
            "price": random.normal(1000, 200, ROWS),
        }
    )


def written(frame: pl.DataFrame, folder: Path, name: str = "table.csv", **how: Any) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    else:
        frame.write_csv(path, **how)
    return path


def same(one: Any, other: Any) -> bool:
    """Whether two parts, ((numeric, categories), target), hold equal tensors."""
    return all(torch.equal(a, b) for a, b in zip((*one[0], one[1]), (*other[0], other[1]), strict=True))


# reading


def test_csv_gzip_tsv_and_parquet_give_the_same_problem(frame: pl.DataFrame, tmp_path: Path) -> None:
    csv = open_problem(written(frame, tmp_path), target="price")
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "table.csv").read_bytes()))
    others = [packed, written(frame, tmp_path, "table.tsv", separator="\t"), written(frame, tmp_path, "table.parquet")]
    for path in others:
        problem = open_problem(path, target="price")
        assert same(problem.train, csv.train), path.name
        assert same(problem.audit, csv.audit), path.name


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\n" + text,
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "|"),
        lambda text: text.replace(",", ";").replace(".", ","),
        lambda text: text.replace(",", " , "),
        lambda text: "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in text.splitlines()),
    ],
    ids=["byte order mark", "Windows", "blank lines", "leading blank line", "semicolons", "bars", "decimal commas", "spaces", "quoted"],
)
def test_habits_of_other_programs_change_nothing(spoil: Any, frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame, tmp_path)
    plain = open_table(path, target="price")
    path.write_text(spoil(path.read_text(encoding="utf-8")), encoding="utf-8", newline="")
    assert same(open_table(path, target="price").train, plain.train)


def test_names_in_other_scripts_and_commas_in_names(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame.rename({"size": "größe", "income": 'in 5" steps', "price": "价格, 元"}), tmp_path)
    problem = open_table(path, target="价格, 元")
    assert problem.task == "regression"
    assert [spec["name"] for spec in problem.origin.preparation["columns"]] == ["größe", 'in 5" steps', "colour", "sold"]


def test_semicolons_are_said(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path, separator=";"), target="price")
    assert "fields are separated by semicolons" in problem.origin.notes


def test_asking_for_doors_loads_neither_torch_nor_polars() -> None:
    program = "import sys; from fallline.doors import doors; doors(); print([name for name in ('torch', 'polars') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# preparation


def test_a_preparation_is_plain_json_and_makes_the_same_tensors(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame, tmp_path)
    problem = open_table(path, target="price")
    preparation = json.loads(json.dumps(problem.origin.preparation, allow_nan=False))
    parts = _prepare.parts(_prepare.read_frame(path, preparation["reading"]), preparation)
    assert same(parts["train"], problem.train)
    assert same(parts["valid"], problem.valid)
    assert same(parts["audit"], problem.audit)


def test_prepare_stands_alone(frame: pl.DataFrame, tmp_path: Path) -> None:
    """Exported scripts copy it by its source."""
    assert "fallline" not in Path(_prepare.__file__).read_text(encoding="utf-8").replace("doors/_prepare.py", "")
    path = written(frame, tmp_path)
    problem = open_table(path, target="price")
    (tmp_path / "preparation.json").write_text(json.dumps(problem.origin.preparation), encoding="utf-8")
    script = Path(_prepare.__file__).read_text(encoding="utf-8") + (
        "\nimport json, sys\npreparation = json.load(open('preparation.json'))\n"
        "(numeric, _), _ = parts(read_frame('table.csv', preparation['reading']), preparation)['train']\n"
        "print('fallline' in sys.modules, numeric.double().sum().item())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["False", str(problem.train[0][0].double().sum().item())]


def test_only_train_rows_move_the_preparation(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame, tmp_path)
    first = open_table(path, target="price").origin.preparation
    held_out = _prepare.part_of_row(first) != 0
    wild = frame.with_columns(
        income=pl.when(pl.Series(held_out)).then(pl.col("income") * 1000 + 1).otherwise(pl.col("income")),
        colour=pl.when(pl.Series(held_out)).then(pl.lit("violet")).otherwise(pl.col("colour")),
        price=pl.when(pl.Series(held_out)).then(pl.col("price") + 1e6).otherwise(pl.col("price")),
    )
    problem = open_table(written(wild, tmp_path), target="price")
    assert problem.origin.preparation["columns"] == first["columns"]
    assert problem.origin.preparation["target"] == first["target"]
    assert problem.valid[0][1].eq(0).all(), "a colour never seen in training has code 0"


def test_numbers_come_to_scale_and_by_rank(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path), target="price")
    numeric = problem.train[0][0]
    straight, ranked = numeric[:, 3], numeric[:, 4]  # after size: straight, by rank, missing
    assert abs(float(ranked.mean())) < 1e-5
    assert float(ranked.std()) == pytest.approx(1, abs=0.01)
    assert float(straight.max()) <= CLIP + 1e-6
    skew = [float(((part - part.mean()) ** 3).mean()) for part in (straight, ranked)]
    assert skew[0] > 2
    assert abs(skew[1]) < 0.3


@given(st.lists(st.floats(-1e140, 1e140), min_size=1, max_size=80))
def test_maps_of_any_numbers_are_finite_and_rise(values: list[float]) -> None:
    for places, heights in number_maps(np.array(values)):
        assert len(places) == len(heights) >= 2
        assert np.isfinite([*places, *heights]).all()
        assert (np.diff(places) > 0).all()
        assert (np.diff(heights) >= 0).all()
        assert np.isfinite(np.interp(values, places, heights)).all()


def test_missing_numbers_get_the_median_and_a_flag(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path), target="price")
    rows = _prepare.part_of_row(problem.origin.preparation) == 0
    missing = frame["size"].is_null().to_numpy()[rows]
    straight, flag = problem.train[0][0][:, 0], problem.train[0][0][:, 2]
    assert torch.equal(flag.bool(), torch.from_numpy(missing))
    assert straight[flag.bool()].unique().numel() == 1
    assert any(note.startswith("missing values in size") for note in problem.origin.notes)


def test_words_for_missing_in_a_column_of_numbers(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame, tmp_path)
    plain = open_table(path, target="price")
    text = frame.with_columns(pl.col("size").cast(pl.String).fill_null("n/a"), pl.col("income").cast(pl.String))
    text[7, "income"] = "a lot"
    problem = open_table(written(text, tmp_path), target="price")
    assert torch.equal(problem.train[0][0][:, :3], plain.train[0][0][:, :3])
    assert any("1 value such as 'a lot' counted as missing" in note for note in problem.origin.notes)


def test_the_same_words_stay_words_among_words(frame: pl.DataFrame, tmp_path: Path) -> None:
    words = frame.with_columns(colour=pl.Series(["None", "NA", "?", "red"] * (ROWS // 4)))
    problem = open_table(written(words, tmp_path), target="price")
    assert problem.origin.preparation["columns"][2]["values"] == ["?", "NA", "None", "red"]


def test_missing_categories_have_a_code_and_rare_ones_share_one(frame: pl.DataFrame, tmp_path: Path) -> None:
    colours = ["", "red", "green", "blue"] * (ROWS // 4)
    colours[1], colours[2] = "teal", "cyan"
    problem = open_table(written(frame.with_columns(colour=pl.Series(colours)), tmp_path, quote_style="never"), target="price")
    spec = problem.origin.preparation["columns"][2]
    assert spec["values"] == ["blue", "green", "red"]
    assert spec["missing"] == 4
    assert spec["size"] == 5
    codes = _prepare.category_codes(pl.Series(["red", None, "teal", "gold", " red "]), spec)
    assert codes.tolist() == [3, 4, 0, 0, 3]


def test_dates_turn(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path), target="price")
    spec = problem.origin.preparation["columns"][3]
    assert spec["turning"] == ["day of year", "day of week", "time of day"]
    assert [name for name, *_ in spec["passing"]] == ["time"], "all in one year"
    features = _prepare.date_features(pl.Series(["2023-05-01 06:00:00", "2023-05-08 06:00:00", None]), spec)
    sine_of_week, cosine_of_week, sine_of_day = features[2], features[3], features[4]
    assert sine_of_week[0] == pytest.approx(sine_of_week[1])
    assert cosine_of_week[0] == pytest.approx(1), "a Monday"
    assert sine_of_day[0] == pytest.approx(1), "a quarter of the day"
    assert all(feature[2] == 0 for feature in features)


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
        "%Y-%m-%d %H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S.123456+00:00",
        "%Y/%m/%d %H:%M",
        "%d.%m.%Y",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d/%m/%Y %H:%M:%S",
    ],
)
def test_forms_of_dates(form: str, frame: pl.DataFrame, tmp_path: Path) -> None:
    dated = frame.with_columns(pl.col("sold").str.to_datetime().dt.strftime(form))
    spec = open_table(written(dated, tmp_path), target="price").origin.preparation["columns"][3]
    assert spec["kind"] == "date"
    read = _prepare.moments(dated["sold"], spec["form"])
    assert read.dt.date().to_list() == frame["sold"].str.to_datetime().dt.date().to_list()


def test_typed_columns_of_parquet(frame: pl.DataFrame, tmp_path: Path, random: np.random.Generator) -> None:
    typed = frame.with_columns(
        pl.col("colour").cast(pl.Categorical),
        pl.col("sold").str.to_datetime(time_zone="UTC"),
        member=pl.Series(random.random(ROWS) < 0.5),
        cents=pl.col("price").cast(pl.Decimal(10, 2)).reverse(),
        clock=pl.col("sold").str.to_datetime().dt.time(),
    )
    problem = open_table(written(typed, tmp_path, "table.parquet"), target="member")
    assert problem.task == "binary"
    assert problem.origin.labels == ("false", "true")
    kinds = {spec["name"]: spec["kind"] for spec in problem.origin.preparation["columns"]}
    assert kinds == {"size": "number", "income": "number", "colour": "category", "sold": "date", "price": "number"} | {
        "cents": "number",
        "clock": "number",
    }


def test_columns_that_tell_nothing_are_left_out(frame: pl.DataFrame, tmp_path: Path) -> None:
    odd = frame.with_columns(
        pl.Series("", np.arange(ROWS)),
        void=pl.lit(None, dtype=pl.String),
        same=pl.lit("x"),
        code=pl.Series([f"c{i}" for i in range(ROWS)]),
    )
    problem = open_table(written(odd, tmp_path), target="price")
    assert len(problem.origin.preparation["columns"]) == 4
    note = next(note for note in problem.origin.notes if note.startswith("left out"))
    for said in ("column_6 (it only numbers the rows)", "void (it has no value)", "same (all its values", "code (none of its"):
        assert said in note


def test_infinite_features_count_as_extremes(frame: pl.DataFrame, tmp_path: Path) -> None:
    huge = frame.with_columns(pl.col("income").cast(pl.String))
    for row, value in enumerate(["1e400", "-inf", "1e300"] * 20):
        huge[row, "income"] = value
    problem = open_table(written(huge, tmp_path), target="price")
    assert torch.isfinite(problem.train[0][0]).all()
    assert any("infinite values taken as its extremes" in note for note in problem.origin.notes)


# model and problem


def test_the_model_takes_the_inputs_and_gives_the_target_shape(frame: pl.DataFrame, tmp_path: Path) -> None:
    more = frame.with_columns(second=pl.col("price") * 2, yes=pl.Series([0, 1] * (ROWS // 2)), no=pl.Series([0, 0, 1, 1] * (ROWS // 4)))
    path = written(more, tmp_path)
    shapes = {"price": (), "price,second": (2,), "yes": (), "yes,no": (2,), "colour": (3,)}
    for target, shape in shapes.items():
        problem = open_table(path, target=target)
        (numeric, categories), wanted = problem.train
        output = problem.new_model(0)(numeric[:7], categories[:7])
        assert output.shape == (7, *shape), target
        assert wanted[:7].shape == ((7,) if target == "colour" else (7, *shape)), target
        assert wanted.dtype == (torch.int64 if target == "colour" else torch.float32)
        assert torch.isfinite(output).all()


def test_regression_targets_are_standardised_and_counts_stay_raw(frame: pl.DataFrame, tmp_path: Path) -> None:
    more = frame.with_columns(second=pl.col("price") * 2 + 1, calls=pl.Series(np.random.default_rng(1).negative_binomial(1, 0.1, ROWS)))
    path = written(more, tmp_path)
    one = open_table(path, target="price")
    location, scale = one.origin.scale
    part = _prepare.part_of_row(one.origin.preparation) == 0
    torch.testing.assert_close(one.train[1] * scale + location, torch.from_numpy(frame["price"].to_numpy()[part]).float())
    two = open_table(path, target="price,second").origin.scale
    assert two[0] == [pytest.approx(location, rel=0.1), pytest.approx(2 * location + 1, rel=0.1)]
    calls = open_table(path, target="calls")
    assert calls.task == "count"
    assert calls.origin.scale is None
    assert calls.train[1].eq(calls.train[1].round()).all()


def test_the_untrained_model_starts_at_the_best_constant(frame: pl.DataFrame, tmp_path: Path) -> None:
    rare = frame.with_columns(hit=pl.Series(["yes" if i % 10 == 0 else "no" for i in range(ROWS)]))
    problem = open_table(written(rare, tmp_path), target="hit")
    output = problem.new_model(0)(*problem.train[0]).detach()
    assert float(output.sigmoid().mean()) == pytest.approx(0.1, abs=0.03)


def test_the_same_seed_gives_the_same_problem_and_another_another(frame: pl.DataFrame, tmp_path: Path) -> None:
    path = written(frame, tmp_path)
    assert same(open_table(path, target="price", seed=3).train, open_table(path, target="price", seed=3).train)
    assert not torch.equal(open_table(path, target="price", seed=3).train[1], open_table(path, target="price", seed=4).train[1])


def test_origin_says_how_to_open_it_again(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path), target="colour", metric="accuracy", group="sold", epochs=3, seed=5)
    origin = problem.origin
    assert json.loads(json.dumps(origin.options)) == {"target": "colour", "metric": "accuracy", "group": "sold", "epochs": 3, "seed": 5}
    again = open_problem(origin.source, **origin.options)
    assert same(again.train, problem.train)
    assert again.epochs == 3


def test_the_splits_reach_open_data_untouched(frame: pl.DataFrame, tmp_path: Path) -> None:
    problem = open_table(written(frame, tmp_path), target="price", batch_size=16)
    data = open_data(problem)
    assert (data.train.size, data.valid.size, data.audit.size) == tuple(
        len(part[1]) for part in (problem.train, problem.valid, problem.audit)
    )
    assert data.batch_size == 16
