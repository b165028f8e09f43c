"""Texts through their door: which tables are texts, tokens fitted on train alone, padding that changes nothing, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from door_files import sentences, text

from fallline._errors import RefusedError, UsageError
from fallline._setting import prepare
from fallline.doors import open_problem
from fallline.doors._prepare import part_of_row
from fallline.doors._prepare_text import UNKNOWN, codes_of
from fallline.doors.models.text import TextNet

NAMES = [(f"{first}{last}{number}", "ab"[number % 2]) for number in range(10) for first in "KLMN" for last in ("ova", "ez", "sson")]


def tokens(problem: Any) -> dict[str, Any]:
    spec: dict[str, Any] = problem.origin.preparation["text"]
    return spec


def said(problem: Any) -> str:
    return "\n".join(problem.origin.notes)


def test_a_table_whose_only_other_column_is_words_is_one_of_texts(tmp_path: Path) -> None:
    problem = open_problem(text(tmp_path), target="topic")
    assert problem.origin.kind == "text"
    assert tokens(problem)["level"] == "words"
    assert {"rain", "sun", ",", "!"} <= set(tokens(problem)["tokens"])


def test_names_are_read_by_their_characters(tmp_path: Path) -> None:
    problem = open_problem(text(tmp_path, NAMES, "name,origin"), target="origin")
    assert tokens(problem)["level"] == "characters"
    assert {"k", "ø"} & set(tokens(problem)["tokens"]) == {"k"}


@pytest.mark.parametrize(
    ("header", "row", "kind"),
    [
        ("colour,price", lambda n: (f"colour{n % 20}", str(n * 1.5)), "table"),
        ("note,size,price", lambda n: (f"good and new, no. {n}", str(n % 7), str(n * 1.5)), "table"),
        ("code,price", lambda n: (f"{n * 7}", str(n * 1.5)), "table"),
        ("note,price", lambda n: (f"good and new, no. {n}", str(n * 1.5)), "text"),
        ("note,split,price", lambda n: (f"new, no. {n}", ("train", "dev", "test")[n % 3], str(n * 1.5)), "text"),
    ],
)
def test_other_tables_stay_tables(header: str, row: Any, kind: str, tmp_path: Path) -> None:
    problem = open_problem(text(tmp_path, [row(n) for n in range(200)], header), target="price")
    assert problem.origin.kind == kind


def test_a_text_beside_other_columns_is_read_where_it_is_named(tmp_path: Path) -> None:
    rows = [(*pair, str(number % 5)) for number, pair in enumerate(sentences())]
    problem = open_problem(text(tmp_path, rows, "text,topic,stars"), target="topic", text="text")
    assert "text: column text; not read: stars" in problem.origin.notes
    long = [(f"a long text about number {number} and more", "x" if number % 2 else "y", str(number % 5)) for number in range(1_200)]
    with pytest.raises(RefusedError, match="To learn from it alone, say --text text"):
        open_problem(text(tmp_path, long, "text,topic,stars"), target="topic")


def test_columns_of_0_and_1_are_labels_where_no_target_is_named(tmp_path: Path) -> None:
    rows = [(text_, str(int(topic == "food")), str(number % 2)) for number, (text_, topic) in enumerate(sentences())]
    path = text(tmp_path, rows, "text,food,odd")
    for options in ({}, {"target": "food,odd"}):
        problem = open_problem(path, **options)
        assert (problem.task, problem.origin.labels) == ("multilabel", ("food", "odd"))
        assert problem.train[1].shape[1:] == (2,)
    assert "targets: all 2 columns of 0 and 1, as none was named (food, odd)" in said(open_problem(path))


def test_a_text_that_repeats_only_late_in_the_file_is_still_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fallline.doors._text.PEEKED", 50)
    rows = [*sentences(100), *[("Sun and rain, says no. 0!", "weather")] * 300]
    problem = open_problem(text(tmp_path, rows), target="topic")
    assert problem.origin.preparation is not None
    assert problem.origin.preparation["text"]["column"] == "text"


def test_equal_texts_stay_in_one_part(tmp_path: Path) -> None:
    rows = [pair for pair in sentences(100) for _ in range(4)]
    problem = open_problem(text(tmp_path, rows), target="topic", text="text")
    part = part_of_row(problem.origin.preparation).reshape(100, 4)
    assert sorted(set(part.reshape(-1).tolist())) == [0, 1, 2]
    assert bool((part == part[:, :1]).all())
    assert "texts repeat another; equal texts stay in one part" in said(problem)


def test_the_column_split_decides_as_it_says(tmp_path: Path) -> None:
    rows = [(*pair, ("train", "train", "dev", "test")[number % 4]) for number, pair in enumerate(sentences())]
    problem = open_problem(text(tmp_path, rows, "text,topic,split"), target="topic")
    assert [len(part[1]) for part in (problem.train, problem.valid, problem.audit)] == [200, 100, 100]
    assert problem.origin.reopen is None


def test_tokens_come_from_train_alone(tmp_path: Path) -> None:
    rows = [(f"{'strange' if number % 4 == 3 else 'usual'} words, no. {number}", "ab"[number % 2], number) for number in range(400)]
    parts = [(a, b, "test" if number % 4 == 3 else "train") for a, b, number in rows]
    problem = open_problem(text(tmp_path, parts, "text,topic,split"), target="topic")
    assert "strange" not in tokens(problem)["tokens"]
    assert bool((problem.audit[0][:, 0] == UNKNOWN).all())


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    model = TextNet(tokens=20, outputs=3, depth=2).eval()
    codes = torch.randint(1, 20, (5, 7))
    longer = torch.cat([codes, torch.zeros(5, 9, dtype=torch.long)], dim=1)
    assert torch.allclose(model(codes), model(longer), atol=1e-6)
    assert bool(torch.isfinite(model(torch.zeros(2, 7, dtype=torch.long))).all())


def test_a_doors_model_gives_raw_outputs_also_where_they_look_like_probabilities(tmp_path: Path) -> None:
    rows = [(text_, "yes" if number % 8 < 5 else "no") for number, (text_, _) in enumerate(sentences())]
    problem = open_problem(text(tmp_path, rows, "text,answer"), target="answer")

    def looks(seed: int) -> bool:
        with torch.no_grad():
            outputs = problem.new_model(seed).eval()(problem.train[0])
        return bool(((outputs >= 0) & (outputs <= 1)).all())

    unlucky = next(seed for seed in range(50) if looks(seed))
    assert prepare(problem, seed=unlucky).profile.output_kind == "real"


def test_long_texts_are_cut_and_unknown_tokens_share_a_code() -> None:
    spec = {"tokens": ["a", "b"], "level": "words", "length": 3}
    assert codes_of(pl.Series(["b a zzz a", "A", None]), spec).tolist() == [[3, 2, UNKNOWN], [2, 0, 0], [0, 0, 0]]


def test_empty_texts_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    rows = [("   ", "food"), ("", "weather"), *sentences()]
    problem = open_problem(text(tmp_path, rows), target="topic")
    assert sum(len(part[1]) for part in (problem.train, problem.valid, problem.audit)) == 400
    assert "left out 2 rows with an empty text" in problem.origin.notes


REFUSED: dict[str, tuple[list[tuple[str, ...]], dict[str, Any], type[Exception], str]] = {
    "only empty texts": ([("", topic) for _, topic in sentences()], {"text": "text"}, RefusedError, "holds no text in any of its 400 rows"),
    "one class": ([(text_, "food") for text_, _ in sentences()], {}, RefusedError, "one class only"),
    "a class a text": (
        [(text_, f"c{number}") for number, (text_, _) in enumerate(sentences())],
        {},
        RefusedError,
        "need several rows each",
    ),
    "a text that is not there": (sentences(), {"text": "txt"}, UsageError, "did you mean text?"),
    "the target as text": (sentences(), {"text": "topic"}, UsageError, "--text names the target 'topic'"),
    "a label outside the classes": (sentences(), {"positive": "sport"}, UsageError, "must be one of the target's classes"),
    "a flag of a series": (sentences(), {"text": "text", "lookback": 3}, UsageError, "'lookback' means nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_texts_that_cannot_be_used_get_one_message(case: str, tmp_path: Path) -> None:
    rows, options, error, told = REFUSED[case]
    with pytest.raises(error) as refusal:
        open_problem(text(tmp_path, rows), target="topic", **options)
    assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("file", "target", "task", "level"),
    [
        ("banking77", "category", "multiclass", "words"),
        ("goemotions", None, "multilabel", "words"),
        ("sms_spam", "label", "binary", "words"),
        ("names_nationality", "nationality", "multiclass", "characters"),
    ],
)
def test_the_development_texts_open(file: str, target: str | None, task: str, level: str, shared_data: Path) -> None:
    problem = open_problem(shared_data / "text" / f"{file}.csv.gz", target=target)
    assert (problem.origin.kind, problem.task, tokens(problem)["level"]) == ("text", task, level)
