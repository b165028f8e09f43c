"""Who is in a race: as many recipes as a price buys, draws within what is fixed, a second chance for what diverges, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from test_race import Killed, essence, killed_after, small
from torch import nn

import fallline
from fallline._budget import Clock
from fallline._plan import FEWEST, expected_work, narrowed, rungs_for, shape_for


def test_what_the_user_fixed_is_kept_by_the_draws_of_plan_twenty_too(tmp_path: Path) -> None:
    verdict = fallline.choose(small(600, epochs=2), price=20, out=tmp_path / "run", lr=0.002, optimizer="adam")
    drawn = [row["recipe"] for row in verdict.document["candidates"] if row["name"].startswith("draw")]
    assert drawn
    assert {(recipe["optimizer"]["name"], recipe["optimizer"]["lr"]) for recipe in drawn} == {("adam", 0.002)}


def steep(**given: Any) -> fallline.Problem:
    """A loss of one's own whose gradients are thousands of times those that the portfolio's lrs were learned for."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(900, 6, generator=generator)
    y = 30 * x[:, :1]
    model = {"model": lambda: nn.Linear(6, 1), "loss": lambda output, target: (output - target).pow(4).mean()}
    return fallline.Problem(**{**model, "train": (x, y), "metric": "mae", "epochs": 10, **given})


def test_what_diverges_before_rung_one_is_tried_again_with_a_tenth_of_its_lr(tmp_path: Path) -> None:
    verdict = fallline.choose(steep(), price=3.5, optimizer="nesterov", out=tmp_path / "run")
    rows = {row["name"]: row for row in verdict.document["candidates"]}
    diverged = {name: row for name, row in rows.items() if row["reason"].startswith("diverged") and not name.endswith("/10")}
    again = {name.removesuffix("/10"): row for name, row in rows.items() if name.endswith("/10")}
    assert again.keys() <= diverged.keys()
    rung = verdict.document["plan"]["rungs"][0]
    assert len(again) == round(sum(rung - row["stopped_at"] for row in diverged.values()) / rung), "as many as the steps left over pay for"
    for name, row in again.items():
        assert row["recipe"]["optimizer"]["lr"] == pytest.approx(rows[name]["recipe"]["optimizer"]["lr"] / 10)
        assert {**row["recipe"], "optimizer": None} == {**rows[name]["recipe"], "optimizer": None}
    clock = Clock()
    killed_after(5, clock)
    with pytest.raises(Killed):
        fallline.choose(steep(), price=3.5, optimizer="nesterov", out=tmp_path / "killed", clock=clock)
    assert essence(fallline.resume(tmp_path / "killed", steep())) == essence(verdict)


def test_an_lr_that_the_user_fixed_is_not_lowered_where_it_diverges(tmp_path: Path) -> None:
    verdict = fallline.choose(steep(), price=3.5, optimizer="nesterov", lr=1.0, out=tmp_path / "run")
    assert any(row["reason"].startswith("diverged") for row in verdict.document["candidates"])
    assert {row["recipe"]["optimizer"]["lr"] for row in verdict.document["candidates"] if row["name"] != "baseline"} == {1.0}


def test_plans_try_fewer_recipes_where_rung_one_is_a_fifth() -> None:
    long, short = (narrowed(shape_for(20), length) for length in (4000, 120))
    assert (long.recipes, shape_for(20).recipes) == (40, 40)
    assert FEWEST <= short.recipes < 40
    work = expected_work(short, 120, rungs_for(120, short), short.recipes + short.second_losses)
    assert work <= 20
    default = shape_for(3.5)
    assert expected_work(default, 120, rungs_for(120, default), default.recipes + default.second_losses) == pytest.approx(3.6)


@pytest.mark.parametrize("price", [2, 3.5, 8, 20])
def test_a_rung_of_a_tenth_leaves_a_plan_as_it_is_however_sums_round(price: float) -> None:
    assert all(narrowed(shape_for(price), length) == shape_for(price) for length in range(300, 20_000, 7))


@pytest.mark.parametrize("length", [120, 250, 4000])
def test_a_higher_price_never_buys_fewer_recipes(length: int) -> None:
    counts = [narrowed(shape_for(price), length).recipes for price in (2, 3.5, 8, 20, 40, 100)]
    assert counts == sorted(counts)


def test_the_verdict_says_which_lrs_would_do_as_well_and_nothing_of_a_baseline_that_is_kept(tmp_path: Path) -> None:
    document = fallline.choose(small(), price=2, optimizer="adamw", out=tmp_path / "run").document
    lr = document["recipe"]["optimizer"]["lr"]
    assert document["verdict"]["winner"] != "baseline"
    low, high = document["verdict"]["lr_interval"]
    assert low < lr < high
    assert any("loses less than a twentieth of the gain" in reason for reason in document["reasons"])
    kept = fallline.choose(small(), price=2, optimizer="sgd", lr=1e-7, out=tmp_path / "kept").document
    assert kept["verdict"]["winner"] == "baseline"
    assert kept["verdict"]["lr_interval"] is None
