"""Sequences through their door: lengths respected, groups kept in one part, a class a step, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from door_files import sequences

from fallline._errors import RefusedError, UsageError
from fallline._setting import prepare
from fallline.doors import open_problem
from fallline.doors._prepare import part_of_row
from fallline.doors._prepare_arrays import PADDED
from fallline.doors.models.gru import SequenceGRU

LENGTHS = np.random.default_rng(0).integers(4, 13, 60)


def test_steps_are_standardised_by_train_and_padding_stays_zero(tmp_path: Path) -> None:
    problem = open_problem(sequences(tmp_path))
    (steps, length), _ = problem.train
    there = torch.arange(12) < length[:, None]
    assert bool((steps[~there] == 0).all())
    assert torch.allclose(steps[there].double().mean(dim=0), torch.zeros(2, dtype=torch.double), atol=1e-5)
    assert torch.allclose(steps[there].double().std(dim=0, correction=0), torch.ones(2, dtype=torch.double), atol=1e-5)


@pytest.mark.parametrize("each_step", [False, True])
def test_what_follows_an_end_changes_nothing(each_step: bool) -> None:
    torch.manual_seed(0)
    model = SequenceGRU(channels=2, outputs=3, each_step=each_step).eval()
    steps, length = torch.randn(5, 9, 2), torch.tensor([1, 3, 5, 7, 9])
    there = torch.arange(9) < length[:, None]
    other = torch.where(there.unsqueeze(2), steps, torch.randn(5, 9, 2))
    first, second = model(steps, length), model(other, length)
    if each_step:
        first, second = first.transpose(1, 2)[there], second.transpose(1, 2)[there]
    assert torch.equal(first, second)


def test_a_group_stays_in_one_part(tmp_path: Path) -> None:
    problem = open_problem(sequences(tmp_path), group="group")
    part = part_of_row(problem.origin.preparation or {}).reshape(10, 6)
    assert bool((part == part[:, :1]).all())
    assert set(part.reshape(-1).tolist()) == {0, 1, 2}


def test_without_lengths_every_sequence_is_whole(tmp_path: Path) -> None:
    problem = open_problem(sequences(tmp_path, length=None))
    assert problem.train[0][1].unique().tolist() == [12]
    assert "there is no array length, so every sequence is whole; images would be uint8 pixels" in problem.origin.notes


def test_a_class_a_step_is_learned_and_padding_is_passed_over(tmp_path: Path) -> None:
    y = np.random.default_rng(1).integers(0, 3, (60, 12))
    problem = open_problem(sequences(tmp_path, y=y), epochs=1)
    assert (problem.task, problem.ignore_index) == ("sequence", PADDED)
    (_, length), target = problem.train
    assert bool(((target == PADDED) == (torch.arange(12) >= length[:, None])).all())
    setting = prepare(problem)
    assert setting.profile.classes == 3
    assert sum(setting.profile.class_counts) == int(length.sum())


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "a row of padding alone": ({"length": np.where(np.arange(60) == 7, 0, LENGTHS)}, {}, RefusedError, "sequence 7 is padding alone"),
    "a length beyond the steps": ({"length": np.full(60, 13)}, {}, RefusedError, "sequence 0 has the length 13"),
    "two dimensions": ({"x": np.zeros((60, 12), np.float32)}, {}, RefusedError, "sequences have the shape (examples, steps, channels)"),
    "a number that is none": ({"x": np.full((60, 12, 2), np.nan, np.float32)}, {}, RefusedError, "holds NaN or inf"),
    "one class": ({"y": np.zeros(60, np.uint8)}, {}, RefusedError, "there is nothing to learn"),
    "one class at all steps": ({"y": np.zeros((60, 12), np.uint8)}, {}, RefusedError, "all steps are of one class"),
    "nothing changes": (
        {"x": np.full((60, 12, 2), 3, np.float32), "group": np.arange(60)},
        {"group": "group"},
        RefusedError,
        "one value only",
    ),
    "no such group": ({}, {"group": "grup"}, UsageError, "did you mean group?"),
    "another task of steps": ({"y": np.arange(720).reshape(60, 12) % 3}, {"task": "count"}, UsageError, "the task sequence, got 'count'"),
    "a label outside the classes": ({"class_names": np.array(["up"])}, {}, RefusedError, "holds class 1, but class_names has 1 names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sequences_that_cannot_be_used_get_one_message(case: str, tmp_path: Path) -> None:
    more, options, error, told = REFUSED[case]
    with pytest.raises(error) as refusal:
        open_problem(sequences(tmp_path, **more), **options)
    assert told in str(refusal.value)


def test_the_development_sequences_open(shared_data: Path) -> None:
    problem = open_problem(shared_data / "sequence" / "indoor_movement.npz", group="group")
    assert problem.origin.kind == "sequences"
    assert [len(part[1]) for part in (problem.train, problem.valid, problem.audit)] == [104, 106, 104]
