"""Ordered classes: metrics of ranks equal torchmetrics', losses their formulas, a table of grades from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import torchmetrics
from exporting import Checker, same_weights
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import fallline
from fallline import catalogue
from fallline._errors import RefusedError, UsageError
from fallline._ranking import plain_loss, ranked_losses
from fallline._recipe import Part
from fallline._setting import prepare
from fallline.metrics import for_task, named
from fallline.metrics._middle import ranks

SEEDS = st.integers(0, 2**32)


def drawn(seed: int, rows: int = 60, classes: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities (rows, classes) and ranks."""
    generator = torch.Generator().manual_seed(seed)
    scores = (2 * torch.randn(rows, classes, generator=generator, dtype=torch.float64)).softmax(1)
    return scores, torch.randint(classes, (rows,), generator=generator)


# metrics ----------------------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_the_predicted_rank_has_the_least_expected_error(seed: int) -> None:
    scores, _ = drawn(seed)
    rank = torch.arange(6, dtype=torch.float64)
    expected = (scores.unsqueeze(1) * (rank - rank.unsqueeze(1)).abs()).sum(2)  # (rows, named rank)
    chosen = expected.gather(1, ranks(scores).long().unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(chosen, expected.amin(1))


@given(seed=SEEDS)
def test_metrics_of_ranks_equal_those_of_torchmetrics(seed: int) -> None:
    scores, target = drawn(seed)
    predicted = ranks(scores)
    kappa = torchmetrics.CohenKappa(task="multiclass", num_classes=6, weights="quadratic")(predicted.long(), target)
    assert named("quadratic_kappa").whole(scores, target) == pytest.approx(float(kappa), abs=1e-6)
    assert named("mae").whole(scores, target) == pytest.approx(float(torchmetrics.MeanAbsoluteError()(predicted, target.double())))
    near = torchmetrics.MeanMetric()((predicted - target).abs() <= 1)
    assert named("within_one").whole(scores, target) == pytest.approx(float(near))


def test_kappa_of_one_rank_throughout_shows_no_agreement() -> None:
    scores = torch.eye(4)[torch.ones(5, dtype=torch.long)]
    assert named("quadratic_kappa").whole(scores, torch.ones(5, dtype=torch.long)) == 0.0


# losses -----------------------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, ignore=st.sampled_from([-100, 0]))
def test_coral_is_the_formula_of_its_authors(seed: int, ignore: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(5, (30,), generator=generator)
    target[:2] = torch.tensor([0, 3])
    levels = (target.unsqueeze(1) > torch.arange(4)).double()
    # eq. 4 of Cao et al.: log sigmoid(z) levels + (log sigmoid(z) - z) (1 - levels), added up over the questions
    term = nn.functional.logsigmoid(logits) * levels + (nn.functional.logsigmoid(logits) - logits) * (1 - levels)
    wanted = -term.sum(1)[target != ignore].mean()
    torch.testing.assert_close(catalogue.loss("coral").build({"ignore_index": ignore})(logits, target), wanted)


@given(seed=SEEDS)
def test_coral_counts_the_questions_answered_with_yes(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(40, 4, generator=generator, dtype=torch.float64)).sort(dim=1, descending=True).values
    link = catalogue.loss("coral").link
    assert link is not None
    probability = link(logits).softmax(1)
    torch.testing.assert_close(probability.sum(1), torch.ones(40, dtype=torch.float64))
    above = torch.cat([torch.ones(40, 1, dtype=torch.float64), logits.sigmoid(), torch.zeros(40, 1, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(probability, above[:, :-1] - above[:, 1:], atol=1e-9, rtol=1e-6)
    assert torch.equal(ranks(probability), (logits > 0).sum(1).double())


def test_thresholds_that_have_crossed_give_a_distribution_all_the_same() -> None:
    link = catalogue.loss("coral").link
    assert link is not None
    probability = link(torch.tensor([[0.0, 2.0, -1.0]])).softmax(1)
    assert bool((probability > 0).all())
    torch.testing.assert_close(probability[0, 0], torch.tensor(0.5))


# from end to end --------------------------------------------------------------------------------------------------------------------


def wine(folder: Path, rows: int = 400) -> Path:
    """A table of grades 3 to 8, which two features order."""
    generator = torch.Generator().manual_seed(0)
    acid, sugar = torch.randn(2, rows, generator=generator)
    noise = 0.5 * torch.randn(rows, generator=generator)
    quality = (5.5 + acid - 0.5 * sugar + noise).round().clamp(3, 8).int()
    path = folder / "wine.csv"
    pl.DataFrame({"acid": acid.tolist(), "sugar": sugar.tolist(), "quality": quality.tolist()}).write_csv(path)
    return path


def test_a_table_of_grades_is_a_task_of_its_own_where_that_is_said(tmp_path: Path) -> None:
    path = wine(tmp_path)
    given = fallline.open_problem(path, target="quality", task="ordinal")
    assert (given.task, given.origin.labels) == ("ordinal", ("3", "4", "5", "6", "7", "8"))
    assert any(note.startswith("ranks, lowest first: 6 (3, 4, 5, 6, 7, 8)") for note in given.origin.notes)
    setting = prepare(given)
    assert (setting.judge.metric.name, setting.profile.classes) == ("mae", 6)
    assert plain_loss(setting.profile) == "cross_entropy"
    ranked = [loss.name for loss in ranked_losses(setting.profile, setting.judge)]
    assert {"cross_entropy", "corn", "squared_emd", "coral"} <= set(ranked)
    assert fallline.open_problem(path, target="quality").task == "multiclass"
    assert fallline.open_problem(path, target="quality", metric="quadratic_kappa").task == "ordinal"
    assert fallline.open_problem(path, target="quality", metric="mae").task == "regression"


def test_grades_in_words_or_in_parts_are_refused(tmp_path: Path) -> None:
    words = tmp_path / "words.csv"
    pl.DataFrame({"a": [float(i) for i in range(60)], "grade": ["low", "mid", "high"] * 20}).write_csv(words)
    with pytest.raises(UsageError, match="whose order nobody told; write them as whole numbers in their order"):
        fallline.open_problem(words, target="grade", task="ordinal")
    halves = tmp_path / "halves.csv"
    pl.DataFrame({"a": [float(i) for i in range(60)], "stars": [1.5, 2.0, 3.5] * 20}).write_csv(halves)
    with pytest.raises(UsageError, match="cannot be ordinal: numbers that are not whole"):
        fallline.open_problem(halves, target="stars", task="ordinal")


@pytest.mark.parametrize("loss", ["coral", "corn", "squared_emd"])
def test_a_race_of_grades_hands_back_what_train_gives(loss: str, tmp_path: Path) -> None:
    given = fallline.open_problem(wine(tmp_path), target="quality", task="ordinal", epochs=4)
    verdict = fallline.choose(given, losses=[loss], price=2, out=tmp_path / "run", engine="sequential")
    trained = fallline.train(given, verdict.recipe)
    network = getattr(verdict.model, "model", verdict.model)
    assert same_weights(trained.network.state_dict(), network.state_dict())
    inputs, _ = given.train
    assert verdict.model(*(part[:7] for part in inputs)).shape == (7, 6)
    assert trained.audit < 1.2  # naming one grade throughout is 0.9 to 1.3 off


@pytest.mark.parametrize("metric", ["mae", "quadratic_kappa", "within_one"])
def test_the_script_of_a_table_of_grades_judges_alike(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = fallline.open_problem(wine(tmp_path), target="quality", task="ordinal", metric=metric, epochs=2, seed=3)
    entry = catalogue.loss("coral")
    head = entry.head(prepare(given, seed=3).profile)
    assert head is not None
    assert (head.layer, head.outputs, head.shared) == ("head", 5, True)
    Checker(tmp_path, monkeypatch, capsys)(given, {"loss": Part("coral", entry.defaults()), "head": head})


def test_ranks_in_python_are_given_as_class_numbers() -> None:
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    more: dict[str, Any] = {"model": lambda: nn.Linear(3, 4), "task": "ordinal", "epochs": 1, "batch_size": 20}
    grades = torch.bucketize(x[:, 0].contiguous(), torch.tensor([-1.0, 0.0, 1.0]))
    assert prepare(fallline.Problem(train=(x, grades), **more)).judge.metric.name == "mae"
    with pytest.raises(RefusedError, match=r"whole numbers \(class indices\), got torch.float32"):
        prepare(fallline.Problem(train=(x, grades.float()), **more))
    with pytest.raises(UsageError, match=r"metric f1 is for binary; the task here is ordinal\. Metrics that fit: .*quadratic_kappa"):
        prepare(fallline.Problem(train=(x, grades), metric="f1", **more))
    assert {"mae", "quadratic_kappa", "within_one", "accuracy"} <= set(for_task("ordinal"))
