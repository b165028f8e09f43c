"""Schedules equal torch's own where torch has the same one, and keep their laws."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import lr_scheduler as torch_schedulers

from fallline import catalogue
from fallline._errors import UsageError
from fallline.catalogue import Settings
from fallline.catalogue.schedules import warmed
from fallline.testing.schedules import curve

Reference = Callable[[torch.optim.Optimizer, int, Settings], torch_schedulers.LRScheduler]

# name -> the same schedule from torch, for a peak of 1
REFERENCES: dict[str, Reference] = {
    "constant": lambda o, n, h: torch_schedulers.LambdaLR(o, lambda step: 1.0),
    "step": lambda o, n, h: torch_schedulers.StepLR(o, step_size=max(1, round(h["every"] * n)), gamma=h["gamma"]),
    "exponential": lambda o, n, h: torch_schedulers.ExponentialLR(o, gamma=h["final"] ** (1 / n)),
    "linear": lambda o, n, h: torch_schedulers.LinearLR(o, start_factor=1.0, end_factor=h["final"], total_iters=n),
    "cosine": lambda o, n, h: torch_schedulers.CosineAnnealingLR(o, T_max=n, eta_min=h["final"]),
    "one_cycle": lambda o, n, h: torch_schedulers.OneCycleLR(
        o,
        1.0,
        total_steps=n,
        pct_start=h["pct_start"],
        div_factor=h["div_factor"],
        final_div_factor=h["final_div_factor"],
        cycle_momentum=False,
    ),
    "polynomial": lambda o, n, h: torch_schedulers.PolynomialLR(o, total_iters=n, power=h["power"]),
    "multi_step": lambda o, n, h: torch_schedulers.MultiStepLR(
        o, milestones=[max(1, round(share * n)) for share in h["milestones"]], gamma=h["gamma"]
    ),
    "cyclical": lambda o, n, h: torch_schedulers.CyclicLR(
        o, base_lr=h["low"], max_lr=1.0, step_size_up=max(1, round(n / (2 * h["cycles"]))), cycle_momentum=False
    ),
}
# plateau reads the metric, and restarts fall on torch's whole steps only at some lengths: both are compared below
TORCH_HAS_NONE = {"wsd", "plateau", "warm_restarts"}


def stepped(reference: Reference, length: int, settings: Settings) -> list[float]:
    """The learning rates of a torch scheduler over a training of this length."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = reference(optimizer, length, settings)
    rates = []
    for step in range(length):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if step < length - 1:
            scheduler.step()
    return rates


def test_every_schedule_has_its_reference_or_none() -> None:
    assert set(REFERENCES) | TORCH_HAS_NONE == set(catalogue.all_schedules())


@pytest.mark.parametrize("length", [10, 97, 1000])
@pytest.mark.parametrize("name", REFERENCES)
def test_a_schedule_equals_the_one_of_torch(name: str, length: int) -> None:
    entry = catalogue.schedule(name)
    for settings in (entry.defaults(), entry.example):
        assert curve(entry, length, settings) == pytest.approx(stepped(REFERENCES[name], length, settings), abs=1e-9)


@pytest.mark.parametrize(("cycles", "mult", "first"), [(1, 2, 50), (3, 2, 10), (2, 3, 25), (4, 1, 9)])
def test_restarts_equal_those_of_torch_where_cycles_are_whole_steps(cycles: int, mult: int, first: int) -> None:
    entry = catalogue.schedule("warm_restarts")
    length = first * sum(mult**k for k in range(cycles))
    for final in (0.0, 0.1):
        settings = {**entry.defaults(), "cycles": cycles, "mult": mult, "final": final}
        rates = stepped(
            lambda o, n, h: torch_schedulers.CosineAnnealingWarmRestarts(o, T_0=first, T_mult=mult, eta_min=h["final"]), length, settings
        )
        assert curve(entry, length, settings) == pytest.approx(rates, abs=1e-9)


def test_a_list_of_numbers_is_checked_number_by_number() -> None:
    entry = catalogue.schedule("multi_step")
    entry.check({"milestones": [0.1]})
    for wrong in ([0.5, 1.0], [0.0], ["half"]):
        with pytest.raises(UsageError, match="each number of milestones"):
            entry.check({"milestones": wrong})
    with pytest.raises(UsageError, match="milestones must be a finite number"):
        entry.check({"milestones": None})


@pytest.mark.parametrize("name", ["factor", "patience", "threshold"])
@given(history=st.lists(st.sampled_from([0.5, 0.9, 0.99, 0.9999, 1.0, 1.1, 2.0]), max_size=40))
def test_plateau_reacts_as_torch_does(name: str, history: list[float]) -> None:
    entry = catalogue.schedule("plateau")
    settings = {**entry.defaults(), name: entry.example[name]}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch_schedulers.ReduceLROnPlateau(
        optimizer, factor=settings["factor"], patience=settings["patience"], threshold=settings["threshold"], eps=0.0
    )
    for value in history:
        scheduler.step(value)
    assert entry.react is not None
    assert entry.react(history, settings) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


def test_plateau_sees_through_a_negative_metric_that_gets_worse() -> None:
    entry = catalogue.schedule("plateau")
    assert entry.react is not None
    slipping = [-0.9 + 1e-6 * look for look in range(10)]  # torch's share of a negative best would call every look progress
    assert entry.react(slipping, entry.defaults()) < 1.0


@given(length=st.integers(1, 3000), warmup=st.floats(0.0, 1.0))
@pytest.mark.parametrize("name", catalogue.all_schedules())
def test_any_length_and_warm_up_stay_above_zero_and_below_the_peak(name: str, length: int, warmup: float) -> None:
    entry = catalogue.schedule(name)
    for step in {0, 1, length // 3, length // 2, length - 2, length - 1} & set(range(length)):
        ramp, left_step, left_length = warmed(step, length, warmup)
        assert 0.0 < ramp * entry.factor(left_step, left_length, entry.defaults()) <= 1.0


@given(length=st.integers(1, 500), warmup=st.floats(0.0, 1.0))
def test_a_warm_up_climbs_evenly_and_hands_over_every_step_that_is_left(length: int, warmup: float) -> None:
    parts = [warmed(step, length, warmup) for step in range(length)]
    climb = [ramp for ramp, _, _ in parts if ramp < 1.0]
    assert len(climb) == int(warmup * length)
    assert all(math.isclose(ramp, (step + 1) / (len(climb) + 1)) for step, ramp in enumerate(climb))
    assert [left for ramp, left, _ in parts if ramp == 1.0] == list(range(length - len(climb)))


@given(length=st.integers(20, 2000))
@pytest.mark.parametrize("name", ["step", "multi_step", "exponential", "linear", "polynomial", "cosine", "wsd"])
def test_a_decay_never_climbs(name: str, length: int) -> None:
    entry = catalogue.schedule(name)
    factors = curve(entry, length, entry.defaults())
    assert all(later <= earlier for earlier, later in pairwise(factors))
