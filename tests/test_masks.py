"""Images with masks through their door: two values or classes at every position, intersection over union, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from door_files import masks

from fallline._errors import RefusedError, UsageError
from fallline._setting import prepare
from fallline.doors import open_problem
from fallline.doors.models.unet import SmallUNet

ZEROS = np.zeros((40, 12, 16), np.uint8)


def test_a_mask_of_two_values_is_yes_or_no_at_every_position(tmp_path: Path) -> None:
    problem = open_problem(masks(tmp_path))
    assert (problem.task, problem.metric, problem.batch_size) == ("binary", "iou", 8)
    assert problem.train[1].shape[1:] == (12, 16)
    assert set(problem.train[1].unique().tolist()) == {0.0, 1.0}
    assert float(problem.train[1].sum()) == 16 * len(problem.train[1])
    profile = prepare(problem).profile
    assert profile.class_counts[1] == 16 * len(problem.train[1])
    assert 0 < profile.second_share < 0.1


def test_the_judge_pools_all_positions_and_resamples_whole_images(tmp_path: Path) -> None:
    setting = prepare(open_problem(masks(tmp_path)))
    targets = setting.data.targets("valid")
    outputs = torch.where(targets > 0, 5.0, -5.0)
    assert setting.judge.value(outputs, targets, None) == 1.0
    outputs[:, :, 8:] = -5.0
    expected = float(targets[:, :, :8].sum() / targets.sum())
    assert setting.judge.value(outputs, targets, None) == pytest.approx(expected)
    assert len(setting.judge.units(targets, None)) == len(targets)


def test_masks_of_more_values_are_classes_at_every_position(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).integers(0, 3, (40, 12, 16))
    problem = open_problem(masks(tmp_path, y_train=classes), metric="accuracy")
    assert problem.task == "sequence"
    assert problem.new_model()(problem.train[0][:2]).shape == (2, 3, 12, 16)
    assert prepare(problem).profile.classes == 3


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (30, 17)])
def test_the_model_gives_an_output_for_every_pixel(size: tuple[int, int]) -> None:
    model = SmallUNet(channels=3, outputs=1, mean=[0.5] * 3, deviation=[0.2] * 3, start=[-2.0])
    assert model(torch.zeros(2, 3, *size, dtype=torch.uint8)).shape == (2, *size)


def test_a_mask_of_ones_and_zeros_in_a_problem_of_ones_own_is_judged_the_same() -> None:
    x = torch.rand(80, 1, 8, 8)
    model = torch.nn.Conv2d(1, 1, 3, padding=1)
    from fallline import Problem

    setting = prepare(Problem(model=model, train=(x, (x > 0.7).float()), metric="iou", epochs=1))
    assert setting.profile.task == "binary"


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception], str]] = {
    "a mask of another size": ({"y_train": np.zeros((40, 12, 8), np.uint8)}, {}, RefusedError, "images are 12 x 16 pixels, masks 12 x 8"),
    "images that are no pixels": ({"x_train": np.zeros((40, 12, 16))}, {}, RefusedError, "images must be uint8 pixels"),
    "masks in colour": ({"y_train": np.zeros((40, 12, 16, 3), np.uint8)}, {}, RefusedError, "masks 12 x 16 x 3"),
    "empty masks": ({"y_train": ZEROS}, {}, RefusedError, "all training masks hold 0 everywhere"),
    "grey levels": ({"y_train": np.arange(40 * 192).reshape(40, 12, 16) % 200}, {}, RefusedError, "which are no classes"),
    "a value that only the test set has": (
        {"x_test": ZEROS[:5], "y_test": np.full((5, 12, 16), 7, np.uint8)}, {}, RefusedError, "no training mask holds the value 7",
    ),
    "another task": ({}, {"task": "regression"}, UsageError, "got 'regression'; leave task out"),
    "a metric of numbers": ({}, {"metric": "rmse"}, UsageError, "the task here is binary"),
    "fewer masks": ({"y_train": ZEROS[:39]}, {}, RefusedError, "y_train holds 39 examples and x_train 40"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_masks_that_cannot_be_used_get_one_message(case: str, tmp_path: Path) -> None:
    more, options, error, told = REFUSED[case]
    with pytest.raises(error) as refusal:
        open_problem(masks(tmp_path, **more), **options)
    assert told in str(refusal.value)


def test_the_development_masks_open_and_their_counts_too(shared_data: Path) -> None:
    path = shared_data / "segmentation" / "nuclei_fluorescence_128.npz"
    assert open_problem(path).origin.kind == "masks"
    counts = open_problem(path, target="count")
    assert (counts.origin.kind, counts.task) == ("images", "count")
