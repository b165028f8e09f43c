"""What is left of a plan is left out only where it could not change the verdict, and that is said and written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import fallline
from fallline._choose import resume
from fallline._run import Run


def early(folder: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event for event in events if event["event"] == "early"]


def apart(gap: float, rows: int = 900) -> dict[str, Any]:
    """Two classes, `gap` deviations apart: far enough, and every model tells them without an error."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(rows) % 2
    x = torch.randn(rows, 4, generator=generator) + gap * (2.0 * y[:, None] - 1)
    return {"model": lambda: nn.Linear(4, 2), "train": (x, y), "metric": "accuracy", "epochs": 6}


def test_no_further_seed_is_trained_where_the_baseline_is_handed_back(tmp_path: Path) -> None:
    said: list[str] = []
    document = fallline.choose(
        fallline.Problem(**apart(0.5)), price=8, optimizer="sgd", lr=1e-7, out=tmp_path / "run", say=said.append
    ).document
    assert document["verdict"]["winner"] == "baseline"
    assert [event["left_out"] for event in early(tmp_path / "run")] == ["more seeds"]
    assert any(line.startswith("more seeds: left out") for line in said)
    assert document["verdict"]["seeds"] == 1
    assert any(reason.startswith("More seeds were left out") for reason in document["reasons"])


def test_no_draw_is_trained_where_no_candidate_can_be_better(tmp_path: Path) -> None:
    document = fallline.choose(fallline.Problem(**apart(6.0)), price=20, out=tmp_path / "run").document
    assert document["verdict"]["metric"] == 1.0
    assert "draws" in [event["left_out"] for event in early(tmp_path / "run")]
    assert not [row["name"] for row in document["candidates"] if row["name"].startswith("draw")]


def test_where_something_may_still_be_found_nothing_is_left_out(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(900, 6, generator=generator)
    y = x[:, 0] * 2 + x[:, 1] ** 2 + torch.randn(900, generator=generator) * 0.3
    layers = (nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0))
    problem = fallline.Problem(model=nn.Sequential(*layers), train=(x, y), metric="mae", epochs=6)
    document = fallline.choose(problem, price=20, out=tmp_path / "run").document
    assert document["verdict"]["winner"] != "baseline", "its default lr has hardly moved in so few epochs"
    assert [row["name"] for row in document["candidates"] if row["name"].startswith("draw")]
    assert document["verdict"]["seeds"] == 3
    assert not early(tmp_path / "run")
    assert not any("left out" in reason for reason in document["reasons"])


def test_a_race_that_left_seeds_out_resumes_to_the_same_verdict(tmp_path: Path) -> None:
    def raced(out: Path, say: Callable[[str], None] | None = None) -> fallline.Verdict:
        return fallline.choose(fallline.Problem(**apart(0.5)), price=8, optimizer="sgd", lr=1e-7, out=out, say=say)

    def killed(line: str) -> None:
        if line.startswith("more seeds: left out"):
            raise KeyboardInterrupt  # before it is written down

    whole = raced(tmp_path / "whole").document
    with pytest.raises((KeyboardInterrupt, fallline.FalllineError)):
        raced(tmp_path / "run", killed)
    resumed = resume(Run.open(tmp_path / "run"), fallline.Problem(**apart(0.5))).document
    assert resumed["verdict"] == whole["verdict"]
    assert [event["left_out"] for event in early(tmp_path / "run")] == ["more seeds"]
