"""What fails is a result: candidates, baselines and metrics that break at any stage leave a true verdict or one clear message."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_race import small

import fallline
from fallline._budget import Clock
from fallline._constraints import Constraints
from fallline._plan import Plan
from fallline._planning import make_plan
from fallline._run import all_runs
from fallline._setting import prepare
from fallline.reports._folder import summary


def bursting(after: int) -> Any:
    """An optimizer factory whose weights become NaN at its `after`-th step, in every model it is made for."""

    def make(model: torch.nn.Module) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        steps = 0

        def burst(*_: Any) -> None:
            nonlocal steps
            steps += 1
            if steps == after:
                with torch.no_grad():
                    for parameter in model.parameters():
                        parameter.fill_(float("nan"))

        optimizer.register_step_post_hook(burst)
        return optimizer

    return make


def planned(problem: fallline.Problem, price: float) -> Plan:
    return make_plan(prepare(problem), price=price, constraints=Constraints())


@pytest.mark.parametrize("metric", ["mae", "r2"])
@pytest.mark.parametrize("after", [2, 60])
def test_a_baseline_that_diverges_is_not_compared_and_never_handed_back(metric: str, after: int, tmp_path: Path) -> None:
    verdict = fallline.choose(small(metric=metric, optimizer=bursting(after)), price=2, out=tmp_path / "run")
    facts = verdict.document["verdict"]
    assert facts["winner"] != "baseline"
    assert facts["baseline"] is None
    assert facts["difference"] is None
    assert any("baseline failed" in reason for reason in verdict.document["reasons"])
    assert verdict.baseline_model is None
    assert str(verdict).startswith(f"Nothing to compare with, the baseline failed: {metric} ")


def test_a_baseline_that_cannot_be_made_is_said_in_one_message(tmp_path: Path) -> None:
    def broken(model: torch.nn.Module) -> torch.optim.Optimizer:
        raise ValueError("no such learning rate")

    with pytest.raises(fallline.FalllineError, match="no such learning rate"):
        fallline.choose(small(optimizer=broken), price=2, out=tmp_path / "run")


def test_a_finalist_that_diverges_late_cannot_win_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    class Late(torch.nn.Module):
        """A model that gives NaN once its own optimizer has made it see the threshold often enough."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(6, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).squeeze(1)

    problem = small(model=Late)
    plan = planned(problem, 2)
    first, *rest = plan.candidates
    # lr 0.05 until step 40, then 1e30: best at the rung, gone before the end
    wild = replace(first, recipe=replace(first.recipe.with_lr(0.05), lr_change=fallline_change(plan.rungs[0] + 5)))
    verdict = fallline.choose(problem, plan=replace(plan, candidates=(wild, *rest)), out=tmp_path / "run")
    rows = {row["name"]: row for row in verdict.document["candidates"]}
    if rows[wild.name]["status"] == "failed":
        assert verdict.document["verdict"]["winner"] != wild.name
        assert rows[wild.name]["metric"] is None
        assert any(rows[candidate.name]["status"] == "finished" for candidate in rest), "another finalist took its place"
    else:
        assert rows[wild.name]["status"] == "paused", "it did not lead at the rung"


def fallline_change(at: int) -> Any:
    from fallline._recipe import LrChange

    return LrChange(at, 1e30)


def test_a_metric_that_fails_on_the_whole_of_valid_is_a_fault_of_the_trial(tmp_path: Path) -> None:
    def touchy(output: torch.Tensor, target: torch.Tensor) -> float:
        if len(output) > 256:
            raise IndexError("too many rows for me")
        return float((output - target).abs().mean())

    problem = small(3000, metric=touchy, direction="min", epochs=2, batch_size=256)
    with pytest.raises(fallline.FalllineError, match="too many rows for me"):
        fallline.choose(problem, price=2, out=tmp_path / "run")


@pytest.mark.parametrize("pulses", range(3, 40, 4))
def test_a_cut_at_any_moment_hands_back_what_train_of_its_recipe_gives(pulses: int, tmp_path: Path) -> None:
    problem = small()
    clock = Clock()
    calls = 0

    def pulse() -> None:
        nonlocal calls
        calls += 1
        if calls == pulses:
            clock.budget_s, clock.reserve_s = clock.spent_s + 5.0, 5.1
        Clock.pulse(clock)

    clock.pulse = pulse  # type: ignore[method-assign]
    try:
        verdict = fallline.choose(problem, plan=planned(problem, 1), out=tmp_path / "run", clock=clock)
    except fallline.RefusedError:
        return  # cut before the first rung: there is nothing to hand back, and that was said
    recipe = fallline.Recipe.load(tmp_path / "run" / "recipe.toml")
    if verdict.document["verdict"]["winner"] != "baseline" and recipe.cooldown is not None:
        trained = fallline.train(small(), recipe)
        from safetensors.torch import load_file

        kept = load_file(tmp_path / "run" / "model.safetensors")
        assert all(torch.equal(kept[name], value) for name, value in trained.network.state_dict().items())


def test_a_refusal_before_the_first_rung_leaves_no_folder_and_one_after_it_is_listed_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def idle(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        return None

    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    for out in ("new", "there"):
        with pytest.raises(fallline.FalllineError, match="no optimizer step"):
            fallline.choose(small(optimizer=bursting(10**9), loop=idle), price=1, out=out)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"], "an empty folder of the user's is left as it was"
    with pytest.raises(fallline.RefusedError, match="no trial could be trained"):
        fallline.choose(small(metric=lambda output, target: math.nan, direction="min"), price=1, out="runs/hopeless")
    assert [summary(folder)["status"] for folder in all_runs()] == ["failed"]
