"""The command line: every verb, its formats, and the promise that refused input leaves one message, an exit code and nothing on disk."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from fallline._cli import BUG, main
from fallline.verbs import verbs

ROWS = 300
QUICK = ["--target", "price", "--metric", "mae", "--epochs", "3", "--price", "1"]

# The design, "Command line": JSON of `choose`, schema 1. A list stands for each of its rows.
SCHEMA = {
    "schema": 1,
    "run": str,
    "versions": dict,
    "problem": {"task": str, "train": int, "valid": int, "audit": int, "metric": str, "direction": str, "length_steps": int},
    "recipe": dict,
    "baseline_recipe": dict,
    "plan": dict,
    "verdict": {
        "status": str,
        "metric": float,
        "baseline": float,
        "difference": float,
        "interval": list,
        "confidence": float,
        "covers": str,
        "seeds": int,
        "cut_by_deadline": bool,
        "compared_at": object,  # a step, or null where both were trained to the end
        "overruled": bool,
        "winner": str,
        "splits": int,
    },
    "cost": {"wall_s": float, "steps": int, "plain_training_s": float, "price_work": float, "price_wall": float},
    "candidates": [{"name": str, "recipe": dict, "family": str, "status": str, "stopped_at": int, "metric": float, "reason": str}],
    "artifacts": {"model": str, "recipe": str, "journal": str, "report": None},
}


@dataclass(frozen=True)
class Said:
    """What one command gave."""

    code: int
    out: str
    err: str


Fallline = Callable[..., Said]


def write_houses(path: Path) -> None:
    draw = random.Random(0)
    lines = ["area,rooms,city,price"]
    for _ in range(ROWS):
        area, rooms, city = draw.uniform(20, 200), draw.randint(1, 6), draw.choice(["Bern", "Genf", "苏州"])
        lines.append(f"{area:.1f},{rooms},{city},{area * 3000 + rooms * 10_000 + draw.gauss(0, 15_000):.0f}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def fallline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fallline:
    """The command line in this process, in a folder that holds houses.csv."""
    write_houses(tmp_path / "houses.csv")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with houses.csv and one finished run, called `run`."""
    folder = tmp_path_factory.mktemp("finished")
    write_houses(folder / "houses.csv")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["choose", "houses.csv", *QUICK, "--out", "run", "-q"]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def after(fallline: Fallline, finished: Path, monkeypatch: pytest.MonkeyPatch) -> Fallline:
    """The command line beside the finished run."""
    monkeypatch.chdir(finished)
    return fallline


def in_a_process(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fallline", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def check(found: Any, schema: Any, where: str = "") -> None:
    """The keys are exactly those of the schema, in their order, and the values are of its types."""
    if isinstance(schema, dict):
        assert list(found) == list(schema), where
        for key, inner in schema.items():
            check(found[key], inner, f"{where}.{key}")
    elif isinstance(schema, list):
        assert found, where
        for row in found:
            check(row, schema[0], f"{where}[]")
    elif isinstance(schema, type):
        assert isinstance(found, schema), f"{where} is {found!r}"
    else:
        assert found == schema, where


# -- choose -------------------------------------------------------------------------------------------------------------------


def test_choose_prints_a_table_and_leaves_a_run(fallline: Fallline, tmp_path: Path) -> None:
    said = fallline("choose", "houses.csv", *QUICK)
    assert said.code == 0, said.err
    assert "lower is better" in said.out
    assert "CHOSEN" in said.out
    run = next((tmp_path / "runs").iterdir())
    assert {"journal.jsonl", "plan.json", "problem.json", "recipe.toml", "model.safetensors", "verdict.json"} <= {
        p.name for p in run.iterdir()
    }
    assert "rung one" in said.err
    assert f"run folder: runs/{run.name}" in said.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["houses.csv", "runs"], "nothing is written outside the run's folder"


def test_choose_prints_exactly_schema_1(fallline: Fallline) -> None:
    said = fallline("choose", "houses.csv", *QUICK, "--output-format", "json", "-q")
    assert (said.code, said.err) == (0, "")
    check(json.loads(said.out), SCHEMA)


def test_jsonl_is_the_journal_and_ends_with_the_verdict(after: Fallline) -> None:
    said = after("resume", "run", "--output-format", "jsonl")
    events = [json.loads(line) for line in said.out.splitlines()]
    assert events[0]["event"] == "start"
    assert set(events[0]["engine"]) == {"name", "lanes", "threads", "steps_a_second"}
    assert events[-1]["event"] == "verdict"


def test_what_is_fixed_is_kept_by_every_candidate(fallline: Fallline) -> None:
    fixed = ["--optimizer", "adam", "--lr", "0.004", "--set", "l2=0.001", "--set", "beta2=.99", "--schedule", "linear", "--clip", "norm"]
    said = fallline("choose", "houses.csv", *QUICK[:-1], "3.5", *fixed, "--dry-run", "--output-format", "json", "-q")
    assert said.code == 0, said.err
    candidates = json.loads(said.out)["candidates"]
    for recipe in (row["recipe"] for row in candidates):
        assert (recipe["optimizer"]["name"], recipe["schedule"]["name"], recipe["clip"]["name"]) == ("adam", "linear", "norm")
        assert (recipe["optimizer"]["lr"], recipe["optimizer"]["l2"], recipe["optimizer"]["beta2"]) == (0.004, 0.001, 0.99)


def test_a_dry_run_writes_nothing_and_its_plan_can_be_run(fallline: Fallline, tmp_path: Path) -> None:
    said = fallline("choose", "houses.csv", *QUICK, "--seed", "4", "--dry-run")
    assert said.code == 0
    assert "plain trainings" in said.out
    assert "MiB" in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["houses.csv"]
    plan = fallline("choose", "houses.csv", *QUICK, "--seed", "4", "--dry-run", "--output-format", "json", "-q").out
    (tmp_path / "plan.json").write_text(plan, encoding="utf-8")
    data = ["--target", "price", "--metric", "mae", "--epochs", "3"]
    said = fallline("choose", "houses.csv", *data, "--plan", "plan.json", "--output-format", "json", "-q")
    assert said.code == 0, said.err
    ran = json.loads(said.out)
    assert ran["plan"] == json.loads(plan)
    assert ran["recipe"]["seed"] == 4


def test_a_problem_file_is_chosen_for_and_its_prints_stay_off_stdout(fallline: Fallline, tmp_path: Path) -> None:
    (tmp_path / "problem.py").write_text(
        """
import torch
import fallline

def problem():
    print("a print of the user's")
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    return fallline.Problem(model=lambda: torch.nn.Linear(4, 1), train=(x, x[:, :1]), metric="mae", epochs=3)
""",
        encoding="utf-8",
    )
    said = fallline("choose", "problem.py", "--price", "1", "--output-format", "json")
    assert said.code == 0, said.err
    check(json.loads(said.out), SCHEMA)
    assert "a print of the user's" in said.err


# -- refused ------------------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[list[str], int, str]] = {
    "missing file": (["choose", "house.csv", "--target", "price"], 2, "houses.csv"),
    "no target": (["choose", "houses.csv"], 2, "--target"),
    "unknown target": (["choose", "houses.csv", "--target", "prize"], 2, "price"),
    "constant target": (["choose", "same.csv", "--target", "y"], 3, "y"),
    "unknown metric": (["choose", "houses.csv", "--target", "price", "--metric", "maee"], 2, "did you mean mae"),
    "metric of another direction": (["choose", "houses.csv", *QUICK, "--direction", "max"], 2, "leave direction out"),
    "budget that is no time": (["choose", "houses.csv", *QUICK, "--budget", "soon"], 2, "10m"),
    "budget too small": (["choose", "houses.csv", *QUICK, "--budget", "1s"], 2, "would do"),
    "budget without end": (["choose", "houses.csv", *QUICK, "--budget", "inf"], 2, "10m"),
    "price without end": (["choose", "houses.csv", *QUICK[:-1], "inf"], 2, "at least 1"),
    "length without end": (["choose", "houses.csv", "--target", "price", "--epochs", "inf"], 2, "must be positive, got inf"),
    "price below one": (["choose", "houses.csv", *QUICK[:-1], "0.5"], 2, "at least 1"),
    "unknown optimizer": (["choose", "houses.csv", *QUICK, "--optimizer", "admaw"], 2, "did you mean adamw"),
    "unknown loss": (["choose", "houses.csv", *QUICK, "--losses", "mse,hubr"], 2, "did you mean huber"),
    "loss of another task": (["choose", "houses.csv", *QUICK, "--loss", "cross_entropy"], 2, "losses that fit here"),
    "setting the optimizer lacks": (["choose", "houses.csv", *QUICK, "--optimizer", "sgd", "--weight-decay", "0.1"], 2, "no weight_decay"),
    "impossible lr": (["choose", "houses.csv", *QUICK, "--lr", "-1"], 2, "must be positive"),
    "lr that is no number": (["choose", "houses.csv", *QUICK, "--lr", "big"], 2, "--lr"),
    "impossible batch size": (["choose", "houses.csv", *QUICK, "--batch-size", "0"], 2, "at least 1"),
    "unknown setting": (["choose", "houses.csv", *QUICK, "--set", "bta2=0.9"], 2, "beta2"),
    "set without value": (["choose", "houses.csv", *QUICK, "--set", "beta2"], 2, "NAME=VALUE"),
    "fixed twice": (["choose", "houses.csv", *QUICK, "--lr", "0.1", "--set", "lr=0.2"], 2, "twice"),
    "unknown device": (["choose", "houses.csv", *QUICK, "--device", "gpu"], 2, "cpu, cuda"),
    "unknown engine": (["choose", "houses.csv", *QUICK, "--engine", "warp"], 2, "sequential"),
    "negative seed": (["choose", "houses.csv", *QUICK, "--seed", "-1"], 2, "--seed"),
    "out below a file": (["choose", "houses.csv", *QUICK, "--out", "houses.csv/run"], 2, "--out"),
    "out not empty": (["choose", "houses.csv", *QUICK, "--out", "."], 2, "not empty"),
    "missing plan": (["choose", "houses.csv", *QUICK[:-2], "--plan", "plan.json"], 2, "plan.json"),
    "plan and price": (["choose", "houses.csv", *QUICK, "--plan", "plan.json"], 2, "leave out --price"),
    "unknown flag": (["choose", "houses.csv", "--lrr", "1"], 2, "--lr"),
    "missing recipe": (["train", "houses.csv", *QUICK[:-2], "--recipe", "best.toml"], 2, "best.toml"),
    "train without recipe": (["train", "houses.csv", *QUICK[:-2]], 2, "--recipe"),
    "unknown run": (["resume", "yesterday"], 2, "no run"),
    "export of an unknown run": (["export", "yesterday", "--to", "script"], 2, "no run"),
    "export to nowhere": (["export", "yesterday", "--to", "skript"], 2, "script"),
    "unknown page": (["explain", "hubr"], 2, "did you mean huber"),
    "unknown task": (["metrics", "--task", "regresion"], 2, "did you mean regression"),
    "unknown kind": (["catalogue", "optimisers"], 2, "did you mean optimizers"),
    "problem that is missing": (["choose", "empty.py"], 2, "def problem()"),
    "problem that raises": (["choose", "raises.py"], 3, "my own fault"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_input_gets_one_message_a_code_and_leaves_nothing(case: str, fallline: Fallline, tmp_path: Path) -> None:
    arguments, code, told = REFUSED[case]
    (tmp_path / "same.csv").write_text("x,y\n" + "".join(f"{n},1\n" for n in range(100)), encoding="utf-8")
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    (tmp_path / "raises.py").write_text("def problem():\n    raise KeyError('my own fault')\n", encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    said = fallline(*arguments)
    assert said.code == code, said.err
    message = next(line for line in said.err.splitlines() if line.startswith("error: "))
    assert told in said.err[said.err.index(message) :], said.err
    assert said.out == ""
    assert "This is a bug" not in said.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == before


def test_our_own_error_keeps_its_traceback_and_is_called_a_bug(fallline: Fallline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fallline.metrics.metrics", None)
    said = fallline("metrics")
    assert said.code == BUG
    assert "Traceback" in said.err
    assert "This is a bug in Fallline" in said.err


# -- the other verbs ----------------------------------------------------------------------------------------------------------


def test_train_of_the_winners_recipe_gives_the_winners_weights(after: Fallline, finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    said = after("train", "houses.csv", *QUICK[:-2], "--recipe", "run/recipe.toml", "--out", str(out), "--output-format", "json")
    assert said.code == 0, said.err
    assert {"metric", "valid", "audit"} <= json.loads(said.out).keys()
    ours, theirs = load_file(out / "model.safetensors"), load_file(finished / "run" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)
    assert (out / "recipe.toml").read_text() == (finished / "run" / "recipe.toml").read_text()


def test_train_tells_the_metric_on_valid_and_audit(after: Fallline, tmp_path: Path) -> None:
    said = after("train", "houses.csv", *QUICK[:-2], "--recipe", "run", "--out", str(tmp_path / "again"), "-q")
    assert said.code == 0, said.err
    assert "on valid" in said.out
    assert "on audit" in said.out
    assert said.err == ""


def test_a_training_that_is_refused_leaves_no_folder(after: Fallline, tmp_path: Path) -> None:
    out = tmp_path / "again"
    said = after("train", "houses.csv", *QUICK[:-2], "--recipe", "run", "--out", str(out), "--batch-size", "100000")
    assert said.code == 2, said.err
    assert not out.exists()


def test_resume_of_a_race_that_is_over_reports_it_again(after: Fallline) -> None:
    said = after("resume", "run")
    assert said.code == 0
    assert "CHOSEN" in said.out


def test_runs_lists_each_run_with_its_verdict(fallline: Fallline) -> None:
    assert fallline("runs").out == "no runs\n"
    fallline("choose", "houses.csv", *QUICK, "-q")
    listed = json.loads(fallline("runs", "--output-format", "json").out)["runs"]
    assert [(row["problem"], row["metric"], row["status"]) for row in listed] == [("houses.csv", "mae", "finished")]
    assert "houses.csv" in fallline("runs").out


def test_export_writes_a_script(after: Fallline, tmp_path: Path) -> None:
    said = after("export", "run", "--to", "script", "--out", str(tmp_path / "train_houses.py"))
    assert said.code == 0, said.err
    assert Path(said.out.strip()).read_text(encoding="utf-8")


def test_explain_shows_the_page_and_the_space(fallline: Fallline) -> None:
    said = fallline("explain", "huber")
    assert said.code == 0
    for text in ("Huber loss", "What it does", "When it does not", "delta", "0.05 to 2, log scale (target MAD)"):
        assert text in said.out


def test_explain_knows_topics_metrics_aliases_and_names_of_two_kinds(fallline: Fallline) -> None:
    assert "Weight decay" in fallline("explain", "weight-decay").out
    assert "(metric mae" in fallline("explain", "mae").out
    assert "(optimizer adamw" in fallline("explain", "AdamW").out
    both = fallline("explain", "mse").out
    assert "(loss mse" in both
    assert "(metric mse" in both


def test_explain_speaks_chinese_where_there_is_a_page_and_english_elsewhere(fallline: Fallline) -> None:
    assert "学习率" in fallline("explain", "sgd", "--lang", "zh").out
    assert "What it does" in fallline("explain", "mae", "--lang", "zh").out


@pytest.mark.parametrize("name", ["huber", "adamw", "cosine", "norm", "averaging", "auroc"])
def test_explain_gives_json(name: str, fallline: Fallline) -> None:
    pages = json.loads(fallline("explain", name, "--output-format", "json").out)["pages"]
    assert pages[0]["name"] == name
    assert pages[0]["page"]


def test_catalogue_and_metrics_list_what_there_is(fallline: Fallline) -> None:
    rows = json.loads(fallline("catalogue", "--output-format", "json").out)["catalogue"]
    assert {row["kind"] for row in rows} == {"loss", "optimizer", "schedule", "clip"}
    only = json.loads(fallline("catalogue", "optimizers", "--output-format", "json").out)["catalogue"]
    assert {row["kind"] for row in only} == {"optimizer"}
    assert all(row["family"] for row in only)
    assert "adaptive" in fallline("catalogue").out
    everything = json.loads(fallline("catalogue", "losses", "--all", "--output-format", "json").out)["catalogue"]
    assert {row["name"]: row["why"] for row in everything if "why" in row}["ctc"].startswith("reads the lengths")
    assert "set aside" in fallline("catalogue", "--all").out
    fitting = fallline("metrics", "--task", "binary").out
    assert "auroc" in fitting
    assert "rmse" not in fitting


def test_env_names_versions_and_how_to_install_what_is_missing(fallline: Fallline) -> None:
    said = fallline("env")
    assert said.code == 0
    for text in ("torch", "devices", "threads", 'pip install "'):
        assert text in said.out


def test_version_and_help(fallline: Fallline) -> None:
    assert fallline("--version").out.startswith("fallline ")
    for verb in verbs():
        said = fallline(verb.name, "--help")
        assert said.code == 0
        assert verb.example.split(" --")[0] in said.out, "every help shows an example"


# -- streams ------------------------------------------------------------------------------------------------------------------


def test_an_ascii_terminal_gets_everything_without_a_crash(tmp_path: Path) -> None:
    write_houses(tmp_path / "苏州.csv")
    said = in_a_process("choose", "苏州.csv", "--target", "nope", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert said.returncode == 2, said.stderr
    assert "Traceback" not in said.stderr
    said = in_a_process("explain", "sgd", "--lang", "zh", folder=tmp_path, PYTHONIOENCODING="ascii")
    assert "What it does" in said.stdout, "English, where Chinese would be question marks"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["explain", "huber"]], ids=" ".join)
def test_what_needs_no_torch_is_there_within_a_third_of_a_second(arguments: list[str], tmp_path: Path) -> None:
    import resource

    def cpu_s() -> float:  # what a busy machine does not change, unlike time on the wall
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert in_a_process(*arguments, folder=tmp_path).returncode == 0
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime

    assert min(cpu_s() for _ in range(5)) < 0.3
