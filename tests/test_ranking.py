"""Which losses race, and in which order: what the metric wants, what records say, what the profile says, then the plain one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import fallline
from fallline import catalogue
from fallline._constraints import Constraints
from fallline._prior import candidates
from fallline._ranking import plain_loss, ranked_losses, unlike
from fallline._recipe import Frame
from fallline._setting import Setting, prepare
from fallline.metrics import metrics

FRAME = Frame(500, 0, 20, 0)


def classes(metric: str) -> Setting:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 5, generator=generator)
    y = (x[:, 0] > 1).long() + (x[:, 1] > 0.5).long()
    return prepare(fallline.Problem(model=lambda: nn.Linear(5, 3), train=(x, y), metric=metric, epochs=20))


def values(metric: str) -> Setting:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 5, generator=generator)
    return prepare(
        fallline.Problem(model=lambda: nn.Sequential(nn.Linear(5, 1), nn.Flatten(0)), train=(x, x.sum(1)), metric=metric, epochs=20)
    )


def first_losses(setting: Setting) -> list[str]:
    return unlike(ranked_losses(setting.profile, setting.judge))


def raced(setting: Setting, second_losses: int) -> list[str]:
    found = candidates(setting.problem, setting.profile, setting.judge, Constraints(), FRAME, count=3, second_losses=second_losses)
    return [candidate.recipe.loss.name for candidate in found]


def test_the_loss_that_optimises_the_metric_comes_first() -> None:
    assert first_losses(values("rmse"))[0] == "mse"
    assert set(first_losses(values("mae"))[:2]) == {"huber", "l1"}
    assert first_losses(classes("log_loss"))[0] == "cross_entropy"


def test_what_was_ahead_on_records_comes_before_the_plain_loss_and_says_so() -> None:
    setting = classes("accuracy")
    ranked = ranked_losses(setting.profile, setting.judge)
    order = [loss.name for loss in ranked]
    assert order.index("cross_entropy_smoothed") < order.index("cross_entropy")
    why = next(loss.why for loss in ranked if loss.name == "cross_entropy_smoothed")
    assert "recorded tasks judged by accuracy" in why


def test_where_no_other_loss_promises_anything_more_recipes_are_tried_instead() -> None:
    assert raced(classes("log_loss"), 2) == ["cross_entropy"] * 5
    several = raced(classes("accuracy"), 1)
    assert len(several) == 4
    assert several[:3] == ["cross_entropy_smoothed"] * 3
    assert several[3] == "cross_entropy"


def test_losses_that_the_user_names_are_raced_whatever_the_metric() -> None:
    setting = classes("log_loss")
    kept = Constraints.of({}, ["focal", "cross_entropy"])
    found = candidates(setting.problem, setting.profile, setting.judge, kept, FRAME, count=2, second_losses=1)
    assert [candidate.recipe.loss.name for candidate in found] == ["focal", "focal", "cross_entropy"]


@pytest.mark.parametrize("name", sorted(catalogue.all_losses()))
def test_the_metrics_that_a_loss_speaks_of_exist(name: str) -> None:
    entry = catalogue.loss(name)
    assert {*entry.metrics, *entry.ahead_for} <= set(metrics())


def test_the_plain_loss_is_the_tasks_own() -> None:
    assert plain_loss(classes("accuracy").profile) == "cross_entropy"
    assert plain_loss(values("mae").profile) == "mse"
