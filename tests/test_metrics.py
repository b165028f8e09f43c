from __future__ import annotations

import importlib
import math
import pkgutil
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fallline.metrics
from fallline._errors import UsageError
from fallline.metrics import TASKS, for_task, metrics, named, resolve
from fallline.metrics._ranks import area_under_roc, precision_over_recall
from fallline.testing import metrics as contract

MODULES = [info.name for info in pkgutil.iter_modules(fallline.metrics.__path__) if not info.name.startswith("_")]


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", metrics())
def test_an_entry_keeps_the_contract(name: str, check: Callable[..., None]) -> None:
    check(metrics()[name], seed=0)


@given(st.integers(0, 2**32))
@settings(max_examples=5)  # five seeds for each of twenty entries: a second; more finds nothing new here
@pytest.mark.parametrize("name", metrics())
def test_neither_order_nor_seed_matters(name: str, seed: int) -> None:
    for check in (contract.check_mean, contract.check_resampling, contract.check_direction):
        check(metrics()[name], seed=seed)


@pytest.mark.parametrize("name", MODULES)
def test_a_file_holds_the_entry_of_its_name_and_its_page(name: str) -> None:
    module = importlib.import_module(f"fallline.metrics.{name}")
    assert module.ENTRY.name == name
    contract.check_page(module.ENTRY, module.__doc__)


def test_every_task_has_one_default_metric() -> None:
    assert {task: [name for name, metric in metrics().items() if task in metric.default_for] for task in TASKS} == {
        "regression": ["rmse"],
        "count": ["poisson_deviance"],
        "binary": ["auroc"],
        "multiclass": ["accuracy"],
        "ordinal": ["mae"],
        "embedding": ["recall_at_1"],
        "multilabel": ["macro_f1"],
        "sequence": ["log_loss"],
    }


def test_no_two_metrics_answer_to_one_name() -> None:
    spoken = [name for metric in metrics().values() for name in (metric.name, *metric.aliases)]
    assert sorted(spoken) == sorted(set(spoken))
    assert all(named(name.upper().replace("_", "-")).name in metrics() for name in spoken)


def test_a_metric_of_another_task_is_not_offered() -> None:
    assert "mae" not in for_task("multiclass")
    assert {"accuracy", "macro_f1", "top5_accuracy"} <= set(for_task("multiclass"))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean accuracy"):
        resolve("acuracy", None)


def test_metrics_are_listed_without_torch() -> None:
    code = "import sys, fallline.metrics as m; m.metrics(); print(sorted({'torch', 'torchmetrics', 'numpy', 'scipy'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


# Equality with torchmetrics, or with torch where torchmetrics has no such function --------------------------------------------------


def _references() -> dict[tuple[str, str], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """(metric, task) -> the same from others, as a function of scores and target."""
    import torchmetrics.functional as tm
    import torchmetrics.functional.classification as tc
    from torchmetrics.functional.text import perplexity

    classes, labels, nn = contract.CLASSES, 4, torch.nn.functional

    def one_hot(target: torch.Tensor) -> torch.Tensor:
        return nn.one_hot(target, classes).double()

    def middle(scores: torch.Tensor) -> torch.Tensor:
        return (scores.cumsum(1) >= 0.5).int().argmax(1)

    def hits(scores: torch.Tensor, target: torch.Tensor) -> list[list[bool]]:
        """For each example whether the others, nearest first, are of its class."""
        near = nn.cosine_similarity(scores.unsqueeze(0), scores.unsqueeze(1), dim=2)
        orders = [row.argsort(descending=True).tolist() for row in near]
        return [[bool(target[j] == target[i]) for j in order if j != i] for i, order in enumerate(orders)]

    def at_r(found: list[bool]) -> float:
        kept = torch.tensor(found[: sum(found)], dtype=torch.float64)
        return float((kept * kept.cumsum(0) / torch.arange(1, len(kept) + 1)).mean())

    return {
        ("mae", "ordinal"): lambda s, t: tm.mean_absolute_error(middle(s).double(), t.double()),
        ("within_one", "ordinal"): lambda s, t: ((middle(s) - t).abs() <= 1).double().mean(),
        ("quadratic_kappa", "ordinal"): lambda s, t: tc.multiclass_cohen_kappa(middle(s), t, classes, weights="quadratic"),
        ("recall_at_1", "embedding"): lambda s, t: torch.tensor([float(found[0]) for found in hits(s, t)]).mean(),
        ("map_at_r", "embedding"): lambda s, t: torch.tensor([at_r(found) for found in hits(s, t)]).mean(),
        ("mae", "regression"): tm.mean_absolute_error,
        ("mse", "regression"): tm.mean_squared_error,
        ("rmse", "regression"): lambda s, t: tm.mean_squared_error(s, t, squared=False),
        ("rmsle", "regression"): lambda s, t: tm.mean_squared_log_error(s, t).sqrt(),
        ("r2", "regression"): lambda s, t: tm.r2_score(s.flatten(1), t.flatten(1)) if s.ndim > 1 else tm.r2_score(s, t),
        ("median_ae", "regression"): lambda s, t: (s - t).abs().quantile(0.5, dim=0).mean(),
        ("poisson_deviance", "count"): lambda s, t: tm.tweedie_deviance_score(s, t.double(), power=1),
        ("accuracy", "binary"): tc.binary_accuracy,
        ("accuracy", "multiclass"): lambda s, t: tc.multiclass_accuracy(s, t, classes, average="micro"),
        ("accuracy", "multilabel"): lambda s, t: tc.multilabel_accuracy(s, t, labels, average="macro"),
        ("balanced_accuracy", "multiclass"): lambda s, t: tc.multiclass_accuracy(s, t, classes, average="macro"),
        ("f1", "binary"): tc.binary_f1_score,
        ("iou", "binary"): tc.binary_jaccard_index,
        ("iou", "multiclass"): lambda s, t: tc.multiclass_jaccard_index(s, t, classes, average="macro"),
        ("macro_f1", "multiclass"): lambda s, t: tc.multiclass_f1_score(s, t, classes, average="macro"),
        ("macro_f1", "multilabel"): lambda s, t: tc.multilabel_f1_score(s, t, labels, average="macro"),
        ("micro_f1", "multiclass"): lambda s, t: tc.multiclass_f1_score(s, t, classes, average="micro"),
        ("micro_f1", "multilabel"): lambda s, t: tc.multilabel_f1_score(s, t, labels, average="micro"),
        ("mcc", "binary"): tc.binary_matthews_corrcoef,
        ("mcc", "multiclass"): lambda s, t: tc.multiclass_matthews_corrcoef(s, t, classes),
        ("auroc", "binary"): tc.binary_auroc,
        ("auroc", "multiclass"): lambda s, t: tc.multiclass_auroc(s, t, classes),
        ("auroc", "multilabel"): lambda s, t: tc.multilabel_auroc(s, t, labels),
        ("average_precision", "binary"): tc.binary_average_precision,
        ("average_precision", "multiclass"): lambda s, t: tc.multiclass_average_precision(s, t, classes),
        ("average_precision", "multilabel"): lambda s, t: tc.multilabel_average_precision(s, t, labels),
        ("top5_accuracy", "multiclass"): lambda s, t: tc.multiclass_accuracy(s, t, classes, top_k=5, average="micro"),
        ("perplexity", "sequence"): lambda s, t: perplexity(s.log().unsqueeze(0), t.unsqueeze(0)),
        ("log_loss", "multiclass"): lambda s, t: nn.nll_loss(s.log(), t),
        ("log_loss", "binary"): lambda s, t: nn.binary_cross_entropy(s.clamp(2**-52, 1 - 2**-52), t.double()),
        ("brier", "binary"): lambda s, t: nn.mse_loss(s, t.double()),
        ("brier", "multiclass"): lambda s, t: (s - one_hot(t)).square().sum(1).mean(),
    }


REFERENCES = _references()


@pytest.mark.parametrize(("name", "task"), REFERENCES)
@pytest.mark.parametrize("seed", range(3))
def test_a_metric_equals_its_reference(name: str, task: str, seed: int) -> None:
    assert {name for name, _ in REFERENCES} == set(metrics())
    for scores, target in contract.draw(task, seed):
        expected = float(REFERENCES[name, task](scores, target))
        assert metrics()[name].whole(scores, target) == pytest.approx(expected, abs=1e-6)  # torchmetrics counts in float32


# Laws and edges of single metrics ---------------------------------------------------------------------------------------------------

_tied_scores = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30)


@given(_tied_scores)
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    above, below = [s for s, positive in pairs if positive], [s for s, positive in pairs if not positive]
    value = area_under_roc(torch.tensor([s for s, _ in pairs]), torch.tensor([positive for _, positive in pairs]))
    if not above or not below:
        assert math.isnan(value)
        return
    wins = sum((a > b) + 0.5 * (a == b) for a in above for b in below)
    assert value == pytest.approx(wins / len(above) / len(below), abs=1e-12)


@given(_tied_scores)
def test_average_precision_adds_up_precision_over_thresholds(pairs: list[tuple[int, bool]]) -> None:
    total, value, recall = sum(positive for _, positive in pairs), 0.0, 0.0
    measured = precision_over_recall(torch.tensor([s for s, _ in pairs]), torch.tensor([positive for _, positive in pairs]))
    if not total:
        assert math.isnan(measured)
        return
    for threshold in sorted({s for s, _ in pairs}, reverse=True):
        taken = [positive for s, positive in pairs if s >= threshold]
        value += (sum(taken) / total - recall) * sum(taken) / len(taken)
        recall = sum(taken) / total
    assert measured == pytest.approx(value, abs=1e-12)


def test_auroc_does_not_see_a_monotone_change_of_scores() -> None:
    (scores, target), *_ = contract.draw("binary", seed=1)
    assert named("auroc").whole(scores, target) == named("auroc").whole(scores**3 / 2, target)


def test_a_model_that_cannot_decide_is_right_by_position_only() -> None:
    equal = torch.full((10, 10), 0.1)
    assert named("top5_accuracy").whole(equal, torch.arange(10)) == 0.5
    assert named("accuracy").whole(equal, torch.arange(10)) == 0.1


def test_a_class_that_is_absent_is_left_out() -> None:
    scores = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 1]]  # the third and fourth class exist but never occur
    assert named("balanced_accuracy").whole(scores, torch.tensor([0, 0, 1, 1])) == 1.0
    assert named("macro_f1").whole(scores, torch.tensor([0, 0, 1, 1])) == 1.0
    stray = torch.eye(4, dtype=torch.float64)[[0, 0, 1, 2]]  # predicted but absent: no recall to miss, an F1 of zero
    assert named("balanced_accuracy").whole(stray, torch.tensor([0, 0, 1, 1])) == 0.75
    assert named("macro_f1").whole(stray, torch.tensor([0, 0, 1, 1])) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_a_target_of_one_class_leaves_ranking_metrics_undefined() -> None:
    scores = torch.tensor([0.2, 0.9, 0.4])
    assert math.isnan(named("auroc").whole(scores, torch.ones(3).long()))
    assert math.isnan(named("average_precision").whole(scores, torch.zeros(3).long()))
    assert math.isnan(named("mcc").whole(scores, torch.ones(3).long()))
    assert named("mcc").whole(torch.ones(3), torch.tensor([0, 1, 1])) == 0.0


def test_certainty_that_is_wrong_is_finite_and_capped() -> None:
    one, none = torch.tensor([1.0, 0.0]), torch.tensor([0, 1])
    assert named("log_loss").whole(one, none) == pytest.approx(-math.log(2**-23))
    assert math.isfinite(named("perplexity").whole(torch.eye(2)[none], 1 - none))
    assert math.isfinite(named("perplexity").whole(torch.eye(2).double()[none], 1 - none))


def test_r2_reads_targets_of_small_scale_and_refuses_constant_ones() -> None:
    target = torch.tensor([1e-6, 2e-6, 3e-6], dtype=torch.float64)
    assert named("r2").whole(target.flip(0), target) == pytest.approx(-3.0)
    assert math.isnan(named("r2").whole(target, torch.full_like(target, 0.1)))


def test_targets_below_zero_make_count_metrics_undefined() -> None:
    for name in ("rmsle", "poisson_deviance"):
        assert math.isnan(named(name).whole(torch.ones(2), torch.tensor([1.0, -1.0])))
        assert math.isfinite(named(name).whole(torch.tensor([-1.0, 0.0]), torch.ones(2)))


def test_the_contract_catches_a_metric_that_averages_over_batches() -> None:
    def by_batches(scores: torch.Tensor, target: torch.Tensor) -> float:
        parts = [named("rmse").whole(s, t) for s, t in zip(scores.split(16), target.split(16), strict=True)]
        return sum(parts) / len(parts)

    wrong = fallline.metrics.Metric(name="wrong", title="Wrong", direction="min", tasks=("regression",), whole=by_batches, source="here")
    with pytest.raises(AssertionError, match="another order"):
        contract.prove(wrong)
