"""Losses that torch lacks equal their formulas, weights and units settle as declared, and each loss finds what its page says."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fallline import catalogue
from fallline._errors import UsageError
from fallline.catalogue import LossFunction
from fallline.catalogue.losses._counts import class_weights
from fallline.metrics import TASKS, metrics
from fallline.testing.losses import draw, profile, settings_for

WEIGHT = [0.5, 1.0, 2.0, 4.0]


def built(name: str, **settings: object) -> LossFunction:
    """A loss in float64 with its defaults and these settings."""
    entry = catalogue.loss(name)
    function = entry.build({**entry.defaults(), **settings})
    return function.double() if isinstance(function, nn.Module) else function


def minimiser(loss: LossFunction, target: Tensor, width: int = 1) -> Tensor:
    """The constant output that minimises a loss."""
    output = torch.zeros(1, width, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([output], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(output.expand(len(target), width), target)
        value.backward()
        return value

    optimizer.step(closure)
    return output.detach().squeeze(0)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_one_plain_loss_for_each_kind_of_output(task: str) -> None:
    kinds = [(kind, loss.width) for loss in catalogue.all_losses().values() if task in loss.plain_for for kind in loss.reads]
    assert ("real", 1) in kinds
    assert len(kinds) == len(set(kinds))


def test_metrics_that_losses_name_exist_and_fit_a_task_of_the_loss() -> None:
    known = metrics()
    for loss in catalogue.all_losses().values():
        for name in loss.metrics:
            assert name in known, f"{loss.name} names the metric {name}"
            assert set(known[name].tasks) & set(loss.tasks), f"{name} fits no task of {loss.name}"


# Formulas ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["multiclass", "sequence"])
@given(seed=st.integers(0, 2**32), ignore=st.sampled_from([-100, 0, 3]))
def test_focal_without_focus_is_weighted_cross_entropy(task: str, seed: int, ignore: int) -> None:
    for output, target in draw(catalogue.loss("focal"), task, seed, torch.float64):
        ours = built("focal", gamma=0.0, weight=WEIGHT, ignore_index=ignore)(output, target)
        theirs = built("cross_entropy_weighted", weight=WEIGHT, ignore_index=ignore)(output, target)
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 2**32))
def test_focal_without_focus_is_weighted_binary_cross_entropy(seed: int) -> None:
    for output, target in draw(catalogue.loss("focal"), "multilabel", seed, torch.float64):
        theirs = built("bce_weighted", pos_weight=WEIGHT)(output, target)
        torch.testing.assert_close(built("focal", gamma=0.0, weight=WEIGHT)(output, target), theirs, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(built("focal", gamma=0.0, weight=WEIGHT)(output, target.long()), theirs, rtol=1e-10, atol=1e-12)


@given(seed=st.integers(0, 2**32), gamma=st.floats(0.0, 5.0))
def test_focal_is_cross_entropy_times_a_power_of_the_error(seed: int, gamma: float) -> None:
    for output, target in draw(catalogue.loss("focal"), "multiclass", seed, torch.float64):
        right = output.softmax(1).gather(1, target[:, None]).squeeze(1)
        torch.testing.assert_close(built("focal", gamma=gamma)(output, target), ((1 - right) ** gamma * -right.log()).mean())
    for output, target in draw(catalogue.loss("focal"), "binary", seed, torch.float64):
        right = torch.where(target > 0, output.sigmoid(), 1 - output.sigmoid())
        torch.testing.assert_close(built("focal", gamma=gamma)(output, target), ((1 - right) ** gamma * -right.log()).mean())


def test_focal_teaches_at_any_logit() -> None:
    output = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)  # sure and right, sure and wrong
    catalogue.loss("focal").build({**catalogue.loss("focal").defaults(), "gamma": 0.5})(output, torch.tensor([0, 0])).backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    assert output.grad[1].abs().min() > 0.4


@given(seed=st.integers(0, 2**32))
def test_gaussian_nll_is_the_one_of_torch(seed: int) -> None:
    for output, target in draw(catalogue.loss("gaussian_nll"), "regression", seed, torch.float64):
        mean, raw = output.chunk(2, dim=-1)
        variance = nn.functional.softplus(raw) + 1e-6
        theirs = nn.GaussianNLLLoss(eps=1e-12)(mean.reshape(target.shape), target, variance.reshape(target.shape))
        torch.testing.assert_close(built("gaussian_nll")(output, target), theirs)


@given(seed=st.integers(0, 2**32), beta=st.floats(0.05, 5.0))
def test_huber_is_smooth_l1_times_its_threshold(seed: int, beta: float) -> None:
    for output, target in draw(catalogue.loss("huber"), "regression", seed, torch.float64):
        torch.testing.assert_close(built("huber", delta=beta)(output, target), beta * built("smooth_l1", beta=beta)(output, target))


# What each loss finds ---------------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32))
def test_losses_find_the_statistic_that_their_page_names(seed: int) -> None:
    counts = torch.poisson(torch.full((101, 1), 3.0), torch.Generator().manual_seed(seed)).double()
    link = catalogue.loss("poisson_nll").link
    assert link is not None
    assert minimiser(built("mse"), counts).item() == pytest.approx(counts.mean().item(), rel=1e-5)
    assert link(minimiser(built("poisson_nll"), counts)).item() == pytest.approx(counts.mean().item(), rel=1e-5)
    amounts = torch.randn(201, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    mean, raw = minimiser(built("gaussian_nll"), amounts, width=2)
    assert mean.item() == pytest.approx(amounts.mean().item(), abs=1e-4)
    assert nn.functional.softplus(raw).item() == pytest.approx(amounts.var(correction=0).item(), rel=1e-3)


@given(seed=st.integers(0, 2**32), q=st.sampled_from([0.1, 0.5, 0.9]))
def test_the_quantile_loss_is_least_at_the_quantile(seed: int, q: float) -> None:
    target = torch.randn(101, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    at = torch.quantile(target, q)
    loss = built("quantile", q=q)
    least = loss(at.expand(101), target)
    assert all(loss((at + off).expand(101), target) >= least - 1e-12 for off in (-0.5, -0.01, 0.01, 0.5))


# Settling ---------------------------------------------------------------------------------------------------------------------------


@given(counts=st.lists(st.integers(0, 10**6), min_size=2, max_size=20).filter(any), balance=st.floats(0.0, 1.0))
def test_class_weights_have_mean_one_over_examples_and_favour_rare_classes(counts: list[int], balance: float) -> None:
    weights = class_weights(counts, balance)
    mean = sum(weight * count for weight, count in zip(weights, counts, strict=True)) / sum(counts)
    assert mean == pytest.approx(1.0)
    by_count = [weight for _, weight in sorted(zip(counts, weights, strict=True), key=lambda pair: -pair[0])]
    assert all(rare >= common * (1 - 1e-12) for common, rare in pairwise(by_count))


def test_full_balance_makes_classes_weigh_the_same_and_none_leaves_them_alone() -> None:
    assert class_weights([900, 100], 1.0) == pytest.approx([5 / 9, 5.0])
    assert class_weights([900, 100], 0.0) == pytest.approx([1.0, 1.0])


def test_positive_weights_follow_the_counts_of_each_label() -> None:
    entry = catalogue.loss("bce_weighted")
    assert settings_for(entry, "binary", {"balance": 1.0, "pos_weight": None})["pos_weight"] == pytest.approx(9.0)
    labels = settings_for(entry, "multilabel", {"balance": 0.5, "pos_weight": None})["pos_weight"]
    assert labels == pytest.approx([math.sqrt(x) for x in (9.0, 1.5, 19.0, 55 / 45)])


@pytest.mark.parametrize(("name", "setting"), [("huber", "delta"), ("smooth_l1", "beta")])
@given(scale=st.floats(1e-3, 1e3))
def test_robust_losses_are_measured_in_the_spread_of_the_target(name: str, setting: str, scale: float) -> None:
    entry = catalogue.loss(name)
    given_profile = profile(entry, "regression")
    wide = type(given_profile)(**{**vars(given_profile), "target_mad": given_profile.target_mad * scale})
    narrow_value, wide_value = (entry.settle(entry.defaults(), p)[setting] for p in (given_profile, wide))
    assert wide_value == pytest.approx(scale * narrow_value)  # type: ignore[operator]


def test_counts_and_standardised_targets_are_kept_apart() -> None:
    entry = catalogue.loss("poisson_nll")
    plain = vars(profile(entry, "count"))
    assert "negative" in entry.applies(type(profile(entry, "count"))(**{**plain, "negative_share": 0.25}))
    assert "standardised" in entry.applies(type(profile(entry, "count"))(**{**plain, "target_scaled": True}))


# Settings that cannot be -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("huber", {"delta": 0.0}, "delta must be positive, got 0.0"),
        ("huber", {"delta": float("nan")}, "finite number"),
        ("huber", {"delta": None}, "finite number"),
        ("huber", {"delta": [1.0]}, "finite number"),
        ("huber", {"beta": 1.0}, "unknown setting of huber 'beta'"),
        ("cross_entropy", {"ignore_index": 1.5}, "whole number"),
        ("cross_entropy_weighted", {"weight": [1.0, -2.0]}, "each number of weight must be zero or more"),
        ("bce_weighted", {"pos_weight": "high"}, "finite number"),
    ],
)
def test_impossible_settings_are_refused(name: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        catalogue.loss(name).check(settings)


def test_a_negative_class_number_may_be_ignored() -> None:
    catalogue.loss("cross_entropy").check({"ignore_index": -1})
