"""Running text through its door: parts in order, pieces that follow each other, characters of train alone, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from door_files import language

from fallline._errors import RefusedError, UsageError
from fallline._setting import prepare
from fallline.doors import open_problem
from fallline.doors._prepare_language import UNKNOWN, pieces
from fallline.doors.models.language import CharGRU


def spelled(problem: Any, codes: torch.Tensor) -> str:
    symbols = problem.origin.preparation["language"]["symbols"]
    return "".join("?" if code == UNKNOWN else symbols[code - 1] for code in codes.reshape(-1).tolist())


def test_each_target_is_the_character_that_follows(tmp_path: Path) -> None:
    path = language(tmp_path)
    problem, text = open_problem(path), path.read_text(encoding="utf-8")
    inputs, target = problem.train
    assert spelled(problem, inputs) == text[: inputs.numel()]
    assert spelled(problem, target) == text[1 : inputs.numel() + 1]


def test_parts_follow_each_other_and_the_metric_is_in_nats_a_character(tmp_path: Path) -> None:
    path = language(tmp_path)
    problem, text = open_problem(path), path.read_text(encoding="utf-8")
    assert text.index(spelled(problem, problem.valid[0])[:200], int(0.9 * len(text))) == int(0.9 * len(text))
    assert text.index(spelled(problem, problem.audit[0])[:200], int(0.95 * len(text))) == int((0.9 + 0.05) * len(text))
    setting = prepare(problem)
    targets = setting.data.targets("valid")
    symbols = len(problem.origin.preparation["language"]["symbols"]) + 1
    even = torch.zeros(len(targets), symbols, 64)
    assert setting.judge.value(even, targets, None) == pytest.approx(torch.tensor(float(symbols)).log().item())


def test_the_model_never_sees_what_it_predicts() -> None:
    torch.manual_seed(0)
    model = CharGRU(symbols=9).eval()
    codes = torch.randint(0, 9, (2, 12))
    changed = codes.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 9
    assert torch.equal(model(codes)[:, :, :7], model(changed)[:, :, :7])


def test_characters_that_train_lacks_count_as_unknown(tmp_path: Path) -> None:
    problem = open_problem(language(tmp_path, "ab " * 8_000 + "ß" * 500))
    assert problem.origin.preparation is not None
    assert problem.origin.preparation["language"]["symbols"] == " ab"
    assert bool((problem.audit[0] == UNKNOWN).any())
    assert any("500 characters of valid and audit do not occur in train" in note for note in problem.origin.notes)


def test_pieces_by_hand() -> None:
    inputs, target = pieces("abcabca", "abc", 3)
    assert inputs.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert target.tolist() == [[2, 3, 1], [2, 3, 1]]


REFUSED: dict[str, tuple[bytes, dict[str, Any], type[Exception], str]] = {
    "nothing": (b"", {}, RefusedError, "is empty"),
    "blank": (b" \n\n", {}, RefusedError, "is empty"),
    "too short": (b"to be or not to be", {}, RefusedError, "at least about"),
    "one character": (b"a" * 50_000, {}, RefusedError, "holds one character only"),
    "no UTF-8": (b"caf\xe9 " * 5_000, {}, RefusedError, "is not UTF-8 text (byte 0xE9)"),
    "binary data": (b"ab\0" * 20_000, {}, RefusedError, "binary data"),
    "another task": (b"ab " * 20_000, {"task": "multiclass"}, UsageError, "the task sequence"),
    "a metric of numbers": (b"ab " * 20_000, {"metric": "rmse"}, UsageError, "the task here is sequence"),
    "a column": (b"ab " * 20_000, {"target": "y"}, UsageError, "'target' means nothing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_text_that_cannot_be_used_gets_one_message(case: str, tmp_path: Path) -> None:
    content, options, error, told = REFUSED[case]
    (tmp_path / "running.txt").write_bytes(content)
    with pytest.raises(error) as refusal:
        open_problem(tmp_path / "running.txt", **options)
    assert told in str(refusal.value)


def test_the_development_text_opens(shared_data: Path) -> None:
    problem = open_problem(shared_data / "text" / "tinyshakespeare.txt")
    assert len(problem.origin.preparation["language"]["symbols"]) == 65
