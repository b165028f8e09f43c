"""Images through their doors: arrays in a `.npz` and folders with a sub-folder a class, and what is refused of both."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from door_files import image_folder, images, pixels

from fallline._errors import RefusedError, UsageError
from fallline.doors import open_problem

pillow = pytest.mark.skipif(importlib.util.find_spec("PIL") is None, reason="Pillow is not installed")


def sizes(problem: Any) -> tuple[int, int, int]:
    return len(problem.train[1]), len(problem.valid[1]), len(problem.audit[1])


# -- arrays ---------------------------------------------------------------------------------------------------------------------------


def test_the_test_arrays_report_and_train_is_split_for_valid(tmp_path: Path) -> None:
    problem = open_problem(images(tmp_path))
    assert sizes(problem) == (240, 60, 100)
    assert torch.equal(problem.audit[0][:, 0], torch.from_numpy(pixels(400)[0][300:]))
    assert "the arrays x_train, x_test are the official split; test reports (audit)" in problem.origin.notes
    assert problem.task == "multiclass"
    assert problem.new_model()(problem.train[0][:4]).shape == (4, 3)


def test_without_test_arrays_all_is_split_by_the_seed(tmp_path: Path) -> None:
    path = images(tmp_path, x_test=None, y_test=None)
    problem = open_problem(path, seed=1)
    assert sizes(problem) == (195, 60, 45)
    assert problem.origin.reopen is not None
    assert not torch.equal(problem.origin.reopen(2).audit[1], problem.audit[1])


def test_pixels_are_standardised_by_the_training_images_inside_the_model(tmp_path: Path) -> None:
    problem = open_problem(images(tmp_path))
    model = problem.new_model()
    train = problem.train[0].double() / 255
    assert float(model.mean) == pytest.approx(float(train.mean()), abs=1e-6)
    assert float(model.deviation) == pytest.approx(float(train.std(correction=0)), abs=1e-6)
    assert problem.train[0].dtype == torch.uint8


@pytest.mark.parametrize("order", ["last", "first"])
def test_channels_are_found_before_or_behind_the_pixels(order: str, tmp_path: Path) -> None:
    x, y = pixels(60)
    colour = np.stack([x, x // 2, x // 3], axis=3 if order == "last" else 1)
    problem = open_problem(images(tmp_path, x_train=colour, y_train=y, x_test=None, y_test=None))
    assert problem.train[0].shape[1:] == (3, 12, 12)
    image = problem.train[0][0].double()
    assert torch.equal(image[0] // 2, image[1])


def test_equal_images_stay_in_one_part(tmp_path: Path) -> None:
    x, y = pixels(100)
    problem = open_problem(images(tmp_path, x_train=np.repeat(x, 3, axis=0), y_train=np.repeat(y, 3), x_test=None, y_test=None))
    seen = [{image.numpy().tobytes() for image in part[0]} for part in (problem.train, problem.valid, problem.audit)]
    assert len(set.union(*seen)) == sum(map(len, seen))
    assert any(note.startswith("200 images equal another") for note in problem.origin.notes)


def test_a_class_of_a_hundred_is_a_class_and_a_count_is_a_count(tmp_path: Path) -> None:
    x, _ = pixels(400)
    many, crowd = (np.arange(400) % 30).astype(np.uint8), (np.arange(400) % 60).astype(np.int16)
    path = images(tmp_path, x_train=x, y_train=many, count_train=crowd, x_test=None, y_test=None)
    assert open_problem(path).task == "multiclass"
    assert open_problem(path, target="count").task == "count"
    assert open_problem(path, target="count", metric="mae").task == "count"


def test_class_names_are_for_class_numbers_alone(tmp_path: Path) -> None:
    path = images(tmp_path, y_train=np.linspace(0, 5, 300), x_test=None, y_test=None, class_names=np.array(["top", "low"]))
    assert open_problem(path).task == "regression"


def test_classes_are_called_by_their_names(tmp_path: Path) -> None:
    problem = open_problem(images(tmp_path, class_names=np.array(["top", "middle", "low"])))
    assert problem.origin.labels == ("low", "middle", "top")
    assert set(problem.train[1].tolist()) == {0, 1, 2}
    bands = pixels(400)[1][300:]
    assert problem.audit[1].tolist() == [{0: 2, 1: 1, 2: 0}[int(band)] for band in bands]


class Trap:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("a pickle was run",)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a pickle": ({"y_train": np.array([Trap()] * 300, dtype=object)}, "which could run any code and are never loaded"),
    "no targets": ({"y_train": None}, "holds no array y_train, but x_test, x_train, y_test"),
    "no images": ({"x_train": None, "x_test": None}, "holds no array x_train or x, but y_test, y_train"),
    "other counts": ({"y_train": np.zeros(299, np.uint8)}, "y_train holds 299 examples and x_train 300"),
    "numbers that are no pixels": ({"x_train": np.zeros((300, 12, 12, 1)), "x_test": np.zeros((100, 12, 12, 1))}, "must be uint8 pixels"),
    "mixed channels": ({"x_test": np.zeros((100, 12, 12, 3), np.uint8)}, "differ in shape"),
    "five channels": ({"x_train": np.zeros((300, 12, 12, 5), np.uint8), "x_test": None, "y_test": None}, "1, 3 or 4 channels"),
    "a label outside the classes": ({"class_names": np.array(["top", "middle"])}, "holds class 2, but class_names has 2 names"),
    "a class that only the test set has": ({"y_test": np.full(100, 9, np.uint8)}, "no training example is of class 9"),
    "one class": ({"y_train": np.zeros(300, np.uint8), "y_test": np.zeros(100, np.uint8)}, "there is nothing to learn"),
    "no examples": ({"x_test": np.zeros((0, 12, 12), np.uint8), "y_test": np.zeros(0, np.uint8)}, "x_test holds no examples"),
    "one number in place of images": ({"x_train": np.uint8(3), "x_test": None, "y_test": None}, "zero-dimensional"),
    "tiny images": ({"x_train": np.zeros((300, 2, 2), np.uint8), "x_test": np.zeros((100, 2, 2), np.uint8)}, "at least 8 a side"),
    "black images": ({"x_train": np.zeros((300, 12, 12), np.uint8)}, "all 300 rows are one (duplicates count as a group)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_arrays_that_cannot_be_used_get_one_message(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more, told = REFUSED[case]
    with pytest.raises(RefusedError) as refusal:
        open_problem(images(tmp_path, **more))
    assert told in str(refusal.value)
    assert "a pickle was run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no zip at all", "half"])
def test_a_damaged_file_is_refused(content: bytes | str, tmp_path: Path) -> None:
    path = images(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if isinstance(content, str) else content)
    with pytest.raises(RefusedError, match=r"is empty|cannot be read|is damaged"):
        open_problem(path)


def test_flags_that_mean_nothing_here_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'time' means nothing"):
        open_problem(images(tmp_path), time="when")
    with pytest.raises(UsageError, match="did you mean count_train"):
        open_problem(images(tmp_path, count_train=np.arange(300), count_test=np.arange(100)), target="cuont")


# -- folders --------------------------------------------------------------------------------------------------------------------------


@pillow
def test_a_folder_has_one_sub_folder_a_class(tmp_path: Path) -> None:
    folder = image_folder(tmp_path)
    problem = open_problem(folder)
    assert problem.origin.labels == ("band0", "band1", "band2")
    assert sum(sizes(problem)) == 120
    assert problem.train[0].shape[1:] == (1, 12, 12)
    x, y = pixels(120)
    seen = {image.tobytes(): int(band) for image, band in zip(x, y, strict=True)}
    assert [seen[image.numpy().tobytes()] for image in problem.train[0]] == problem.train[1].tolist()


@pillow
def test_folders_named_by_numbers_are_classes(tmp_path: Path) -> None:
    folder = image_folder(tmp_path)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        (folder / str(number % 30)).mkdir(exist_ok=True)
        path.rename(folder / str(number % 30) / path.name)
    for inner in ("band0", "band1", "band2"):
        (folder / inner).rmdir()
    problem = open_problem(folder)
    assert (problem.task, len(problem.origin.labels)) == ("multiclass", 30)


@pillow
def test_folders_called_train_and_test_are_the_official_split(tmp_path: Path) -> None:
    problem = open_problem(image_folder(tmp_path, parts=("train", "test")))
    assert len(problem.audit[1]) == 120
    assert "the folders test, train are the official split; test reports (audit)" in problem.origin.notes
    assert problem.origin.reopen is None


@pillow
def test_images_of_many_sizes_are_read_at_one_that_is_said(tmp_path: Path) -> None:
    from PIL import Image

    folder = image_folder(tmp_path)
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        Image.open(path).resize((200 + number % 2, 100)).save(path)
    problem = open_problem(folder)
    assert problem.train[0].shape[2:] == (32, 64)
    assert any(note.startswith("images are resized to 64 x 32") for note in problem.origin.notes)


@pillow
def test_folders_that_cannot_be_used_get_one_message(tmp_path: Path) -> None:
    from PIL import Image

    folder = image_folder(tmp_path)
    first = min((folder / "band1").glob("*.png"))
    whole = first.read_bytes()
    for content in (whole[: len(whole) // 2], b"no image"):
        first.write_bytes(content)
        with pytest.raises(RefusedError, match=f"{first.name} cannot be decoded as an image"):
            open_problem(folder)
    Image.new("RGB", (12, 12)).save(first)
    with pytest.raises(RefusedError, match=r"mixes images of different channels: .*119 grey.*1 colour"):
        open_problem(folder)
    Image.new("I;16", (12, 12)).save(first)
    with pytest.raises(RefusedError, match="save it as 8-bit"):
        open_problem(folder)
    for inner in ("band0", "band1"):
        (folder / inner).rename(tmp_path / inner)
    with pytest.raises(RefusedError, match="of one class only, 'band2'"):
        open_problem(folder)
    (tmp_path / "empty" / "a").mkdir(parents=True)
    with pytest.raises(RefusedError, match="but no image"):
        open_problem(tmp_path / "empty")


def test_a_folder_without_pillow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cat").mkdir()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UsageError, match=r"pip install 'fallline\[images\]'"):
        open_problem(tmp_path)


def test_the_development_images_open(shared_data: Path) -> None:
    problem = open_problem(shared_data / "images" / "trashnet_64x48.npz")
    assert sizes(problem) == (1615, 404, 505)
    assert problem.train[0].shape[1:] == (3, 64, 48)
