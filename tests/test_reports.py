"""Reports say what the document says: sorted by valid, winner and baseline shown, plain off a terminal, and every verdict in words."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest

from fallline._counted import counted
from fallline._errors import UsageError
from fallline.reports import named, reports
from fallline.reports._plan import write as write_plan

RECIPE = {
    "schema": 1,
    "seed": 0,
    "steps": 1000,
    "keep": "best",
    "evaluations": 20,
    "look_rows": 0,
    "decay_on": "matrices",
    "loss": {"name": "huber", "delta": 1.2},
    "optimizer": {"name": "adamw", "lr": 0.003, "weight_decay": 0.01},
    "schedule": {"name": "cosine", "warmup": 0.03},
    "clip": {"name": "norm", "max_norm": 1.0},
    "average": {"decay": 0.99},
}
BASELINE: dict[str, Any] = {
    **RECIPE,
    "keep": "last",
    "decay_on": "all",
    "loss": {"name": "own"},
    "optimizer": {"name": "own"},
    "schedule": {"name": "own"},
    "clip": {"name": "own"},
}
BASELINE.pop("average")


def row(name: str, status: str, at: int, metric: float | None, reason: str = "", recipe: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name, "recipe": recipe or {**RECIPE, "seed": len(name)}, "family": "adaptive", "status": status, "stopped_at": at,
        "metric": metric, "reason": reason, "curve": [],
    }  # fmt: skip


def document() -> dict[str, Any]:
    """A race with every fate a candidate can have; higher is better."""
    return {
        "schema": 1,
        "run": "runs/x",
        "versions": {},
        "problem": {
            "task": "binary", "train": 2000, "valid": 500, "audit": 1500, "metric": "auroc", "direction": "max", "length_steps": 1000,
        },
        "recipe": RECIPE,
        "baseline_recipe": BASELINE,
        "plan": {"shape": {"baseline_finishes": True}},
        "verdict": {
            "status": "better", "metric": 0.91234, "baseline": 0.88123, "difference": 0.03111, "interval": [0.01, 0.05],
            "confidence": 0.95, "covers": "examples+assumed seeds", "seeds": 1, "cut_by_deadline": False, "compared_at": None, "splits": 1,
            "overruled": False, "winner": "first",
        },
        "cost": {"wall_s": 61.0, "steps": 3500, "plain_training_s": 15.0, "price_work": 3.5, "price_wall": 4.0},
        "candidates": [
            row("broken", "failed", 40, None, "diverged: the loss became nan"),
            row("fallen", "paused", 100, 0.95, "fell at step 100: auroc 0.95, the leader 0.96"),
            row("baseline", "finished", 1000, 0.885, "what every claim is made against", BASELINE),
            row("second", "finished", 1000, 0.905),
            row("first", "finished", 1000, 0.915, recipe=RECIPE),
            row("late", "waiting", 0, None),
        ],
        "artifacts": {"model": "model.safetensors", "recipe": "recipe.toml", "journal": "journal.jsonl", "report": None},
        "reasons": ["A reason in words."],
    }  # fmt: skip


def told(tmp_path: Path, doc: dict[str, Any], out: io.StringIO | None = None, report: str = "table") -> str:
    origin = {
        "kind": "table",
        "source": str(tmp_path / "my table.csv"),
        "options": {"target": "y", "seed": 3, "batch_size": 32},
        "scale": None,
    }
    (tmp_path / "verdict.json").write_text(json.dumps(doc), encoding="utf-8")
    (tmp_path / "problem.json").write_text(json.dumps({"facts": {}, "origin": origin}), encoding="utf-8")
    out = out or io.StringIO()
    named(report).write(tmp_path, out)
    return out.getvalue()


def changed(**verdict: Any) -> dict[str, Any]:
    doc = copy.deepcopy(document())
    doc["verdict"].update(verdict)
    return doc


def leaderboard(text: str) -> list[str]:
    lines = text.partition("Candidates by")[2].splitlines()[3:]
    return lines[: lines.index("")]


def test_there_are_the_three_reports_that_output_format_offers() -> None:
    assert set(reports()) == {"table", "json", "jsonl"}


def test_the_table_is_sorted_by_valid_and_marks_winner_and_baseline(tmp_path: Path) -> None:
    rows = leaderboard(told(tmp_path, document()))
    names = [next(name for name in ("first", "second", "baseline", "fallen", "broken", "late") if f" {name} " in line) for line in rows]
    assert names == ["first", "second", "baseline", "fallen", "late", "broken"]
    assert ["CHOSEN" in line for line in rows] == [True, False, False, False, False, False]
    assert "0.885" in rows[2]
    assert "your own" in rows[2]


def test_every_fate_is_told_in_words(tmp_path: Path) -> None:
    text = told(tmp_path, document())
    for words in ("fell at step 100: auroc 0.95", "failed at step 40: diverged: the loss became nan", "CHOSEN, finished", "did not start"):
        assert words in text


def test_a_long_table_keeps_winner_and_baseline_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    doc = document()
    doc["candidates"] = [
        *(row(f"good{place}", "finished", 1000, 0.96 - place / 1000) for place in range(22)),
        *doc["candidates"],
        *(row(f"lost{place}", "paused", 100, 0.7 + place / 100, "fell at step 100") for place in range(5)),
    ]
    text = told(tmp_path, doc)
    *rows, last = leaderboard(text)
    assert len(rows) == 22
    assert [line.split()[0] for line in rows[-2:]] == ["23", "25"], "winner and baseline keep their ranks"
    assert last == "Not shown: 11 more, auroc 0.7 to 0.95, 1 of them failed; all are in verdict.json."


@pytest.mark.parametrize(
    ("doc", "opening"),
    [
        (changed(), "Better than the baseline: auroc 0.9123 against 0.8812 (higher is better), on 1,500 audit examples"),
        (changed(status="no difference shown"), "No difference from the baseline shown"),
        (changed(status="worse", compared_at=100), "Compared early, at step 100 of 1,000, where the budget stops the baseline"),
        (changed(status="worse", overruled=True, winner="baseline"), "The baseline is handed back: the best on valid is worse on audit"),
        (changed(status="no difference shown", winner="baseline"), "The baseline is kept: no candidate was better on valid"),
        (
            changed(baseline=None, difference=None, interval=[None, None]),
            "Nothing to compare with, there was no time to judge",
        ),
    ],
    ids=["better", "no difference", "worse", "overruled", "kept", "not compared"],
)
def test_every_verdict_opens_with_its_words(doc: dict[str, Any], opening: str, tmp_path: Path) -> None:
    assert told(tmp_path, doc).replace("\n", " ").startswith(opening)


def test_a_comparison_before_the_end_says_what_was_compared_and_that_it_is_not_final(tmp_path: Path) -> None:
    doc = changed(status="worse", compared_at=100)
    doc["plan"]["shape"]["baseline_finishes"] = False
    text = told(tmp_path, doc).replace("\n", " ")
    assert "step 100 of 1,000, where this plan stops the baseline: first stood behind the baseline there, auroc 0.9123 against" in text
    assert "Neither figure is a final result: first was trained on to step 1,000, the baseline was not." in text
    assert "price of 2 trains both to the end" in text
    assert "Worse" not in text


def test_one_of_a_thing_is_told_in_the_singular(tmp_path: Path) -> None:
    doc = document()
    doc["recipe"]["steps"], doc["problem"]["train"] = 1, 1
    text = told(tmp_path, doc)
    assert "1 step," in text
    assert "1 example to train" in text


@pytest.mark.parametrize(("size", "words"), [(700, "less than 1 MiB"), (5 << 20, "about 5 MiB"), (5 << 29, "about 2.5 GiB")])
def test_a_plan_tells_memory_in_a_unit_that_fits(size: int, words: str) -> None:
    out = io.StringIO()
    write_plan({"estimate": {"memory_bytes": size}, "baseline": BASELINE, "candidates": []}, ["plan"], out, as_json=False)
    assert f"{words} of memory" in out.getvalue()


def test_counts_have_the_right_number_of_their_noun() -> None:
    assert counted(1, "row") == "1 row"
    assert counted(2000, "class") == "2,000 classes"
    assert counted(1.0, "pass") == "1 pass"
    assert counted(0.5, "batch") == "0.5 batches"


def test_numbers_and_the_interval_are_those_of_the_document(tmp_path: Path) -> None:
    text = told(tmp_path, document()).replace("\n", " ")
    assert "Difference 0.03111, 95% interval 0.01 to 0.05" in text
    assert "whose effect is assumed" in text
    assert "interval unknown" in told(tmp_path, changed(interval=[None, None]))


def test_the_recipe_names_every_choice(tmp_path: Path) -> None:
    text = told(tmp_path, document())
    for words in (
        "huber (delta 1.2)",
        "adamw (weight_decay 0.01)",
        "0.003 at its peak",
        "cosine (warmup 0.03)",
        "norm (max_norm 1)",
        "decay 0.99",
    ):
        assert words in text
    doc = document()
    doc["recipe"] = {**RECIPE, "lr_change": {"at": 100, "factor": 1 / 3}, "cooldown": {"at": 400, "steps": 50}}
    text = told(tmp_path, doc)
    assert "times 0.3333 from step 100 on" in text
    assert "lr falls to zero from step 400 to 450" in text


def test_the_next_commands_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path.parent)
    text = told(tmp_path, document())
    assert "fallline explain huber" in text
    assert f"fallline export {tmp_path.name} --to script" in text
    assert f"fallline train '{tmp_path.name}/my table.csv' --target y --batch-size 32 --recipe {tmp_path.name}/recipe.toml" in text


def test_where_nothing_better_was_found_the_next_command_looks_for_what_is_wrong(tmp_path: Path) -> None:
    assert "fallline check" not in told(tmp_path, document())
    text = told(tmp_path, changed(status="no difference shown", winner="baseline"))
    assert "my table.csv' --target y --batch-size 32  # whether something keeps this training from learning" in text


class Terminal(io.StringIO):
    """A terminal that keeps what it is shown."""

    def isatty(self) -> bool:
        return True


def test_off_a_terminal_there_are_no_boxes_and_no_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    wide = told(tmp_path, document())
    assert wide.isascii()
    assert "\x1b" not in wide
    monkeypatch.setenv("COLUMNS", "40")
    assert told(tmp_path, document()) == wide, "the width does not depend on the window"


def test_a_terminal_gets_a_drawn_table_and_no_color_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[1;32m" in told(tmp_path, document(), Terminal()), "a good verdict is green"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = told(tmp_path, document(), Terminal())
    assert "\x1b[1;32m" not in plain
    assert "first" in plain


def test_a_race_that_is_not_over_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fallline resume"):
        named("table").write(tmp_path, io.StringIO())


def test_json_takes_what_the_schema_names_and_nothing_else(tmp_path: Path) -> None:
    found = json.loads(told(tmp_path, document(), report="json"))
    assert "reasons" not in found
    assert set(found["candidates"][0]) == {"name", "recipe", "family", "status", "stopped_at", "metric", "reason"}
    assert found["verdict"]["interval"] == [0.01, 0.05]
