"""Plans keep what the user fixed, stay inside a budget whatever the metric costs, and refuse what they were not made for."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

import fallline
from fallline import _planning, catalogue
from fallline._budget import Clock
from fallline._choose import keep_weights
from fallline._constraints import Constraints
from fallline._data import open_data
from fallline._fingerprint import fingerprint
from fallline._plan import LOOKS, Plan, look_rows_for, shape_for
from fallline._planning import length_of, looks_of, make_plan, paced, resampling
from fallline._prior import Candidate, draws
from fallline._recipe import LrChange, Part, Recipe
from fallline._run import Run
from fallline._setting import prepare
from fallline._step import start


def problem(rows: int = 600, bias: float = 0.0, **given: Any) -> fallline.Problem:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 4, generator=generator)
    y = x[:, :1] * 2 + torch.randn(rows, 1, generator=generator) * 0.3 + bias
    return fallline.Problem(**{"model": lambda: nn.Linear(4, 1), "train": (x, y), "metric": "mae", "epochs": 6, **given})


def slow(output: torch.Tensor, target: torch.Tensor) -> float:
    time.sleep(0.01)
    return float((output - target).abs().mean())


# a budget that holds -----------------------------------------------------------------------------------------------------------------


def test_a_dear_metric_is_resampled_less_and_the_budget_holds(tmp_path: Path) -> None:
    began = time.perf_counter()
    verdict = fallline.choose(problem(metric=slow, direction="min"), budget="10s", out=tmp_path / "run")
    assert time.perf_counter() - began < 10
    plan = verdict.document["plan"]
    assert 50 <= plan["resamples"] < 400
    assert any("coarser" in note for note in plan["notes"])
    assert 0 < plan["estimate"]["judging_s"] < plan["estimate"]["seconds"]


def test_without_a_budget_only_own_metrics_dearer_than_a_millisecond_are_resampled_less() -> None:
    setting = prepare(problem(metric=slow, direction="min"))
    shape = shape_for(3.5)
    assert resampling(setting, shape, 10.0, 0.01, bounded=False)[0] == 200
    assert resampling(setting, shape, 10.0, 0.0009, bounded=False)[0] == 400
    assert resampling(setting, shape, 1e5, 0.01, bounded=False)[0] == 400
    assert resampling(setting, shape, 10.0, 0.01, bounded=True)[0] == 50
    assert resampling(prepare(problem()), shape, 10.0, 0.0, bounded=True) == (400, 0.0)
    count, seconds = resampling(setting, shape, 400.0, 0.01, bounded=True)
    assert seconds <= 0.05 * 400, count


def test_patience_is_counted_in_the_loaders_own_epochs_and_its_looks_are_paid() -> None:
    data = torch.utils.data.TensorDataset(torch.randn(210, 4), torch.randn(210, 1))
    loader = torch.utils.data.DataLoader(data, batch_size=40, drop_last=False)
    setting = prepare(problem(train=loader, valid=(torch.randn(90, 4), torch.randn(90, 1)), audit=data, epochs=50, patience=5))
    plan = make_plan(setting, price=1, constraints=Constraints())
    assert setting.steps_per_epoch == 6
    assert plan.baseline.evaluations == 50
    assert looks_of(setting, length_of(setting)) == 50
    assert look_rows_for(30_000, 32, 10**6, 10 * LOOKS) == look_rows_for(30_000, 32, 10**6) // 10


def test_the_regime_follows_the_length_that_a_budget_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = prepare(problem(epochs=40))
    per_epoch = setting.steps_per_epoch
    assert make_plan(setting, price=2, constraints=Constraints()).candidates[0].recipe.keep == "best"
    monkeypatch.setattr(_planning, "_within", lambda *_: (shape_for(2), 2 * per_epoch))
    plan = make_plan(setting, price=2, clock=Clock(60.0), constraints=Constraints())
    assert plan.length == 2 * per_epoch
    assert {candidate.recipe.keep for candidate in plan.candidates} == {"last"}
    assert plan.shadow_decay is not None


def test_a_recipe_that_raises_is_not_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    def fussy(bench: Any, recipe: Any) -> Any:
        if recipe.optimizer.name != "adamw":
            raise RuntimeError("no such kernel")
        return start(bench, recipe)

    monkeypatch.setattr(_planning, "start", fussy)
    assert paced(prepare(problem()), Constraints(), 0, 1) > 0


# what the user fixed -----------------------------------------------------------------------------------------------------------------


def test_draws_keep_the_constraints_and_leave_out_parents_that_do_not() -> None:
    kept = Constraints.of({"lr": 0.02, "schedule": "linear", "weight_decay": 0.03, "optimizer": "adamw"})
    plan = make_plan(prepare(problem()), price=8, constraints=kept)
    parents = [*plan.candidates[:2], Candidate("baseline", plan.baseline, "")]
    drawn = draws(parents, 12, 1, plan.constraints)
    assert len(drawn) == 12
    for candidate in drawn:
        recipe = candidate.recipe
        assert (recipe.lr, recipe.schedule.name, recipe.optimizer.settings["weight_decay"]) == (0.02, "linear", 0.03)
    assert not draws([parents[-1]], 4, 1, Constraints.of({"optimizer": "sgd"}))
    assert not draws([parents[-1]], 4, 1, Constraints.of({}, ["huber"]))
    assert not plan.shape.child, "a third of a fixed lr is another lr"
    assert "third of its lr" not in "".join(plan.lines())
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_draws_take_schedules_by_their_facts_and_move_losses_and_take_over_a_childs_lr() -> None:
    plan = make_plan(prepare(problem()), price=8, constraints=Constraints.of({}, ["huber"]))
    parent = plan.candidates[0]
    lr = parent.recipe.lr or 0.0
    child = replace(parent, recipe=replace(parent.recipe, lr_change=LrChange(10, 1 / 3)))
    drawn = draws([child], 120, 5)
    known = {entry.name for entry in catalogue.all_schedules().values() if not entry.reads_metric and not entry.flat}
    assert {candidate.recipe.schedule.name for candidate in drawn} >= known - {parent.recipe.schedule.name}
    delta = parent.recipe.loss.settings["delta"]
    moved = {candidate.recipe.loss.settings["delta"] for candidate in drawn}
    assert len(moved) > 10
    assert all(delta / 3.2 < value < delta * 3.2 for value in moved)
    assert all(candidate.recipe.lr_change is None and lr / 10 < (candidate.recipe.lr or 0) < lr * 1.1 for candidate in drawn)


@pytest.mark.parametrize("name", [name for name, entry in catalogue.all_optimizers().items() if not entry.package])
def test_whatever_is_drawn_could_stand_in_a_recipe(name: str) -> None:
    entry = catalogue.optimizer(name)
    for loss in (entry for entry in catalogue.all_losses().values() if not any(hyper.default is None for hyper in entry.space.values())):
        recipe = Recipe(loss=Part(loss.name, loss.defaults()), optimizer=Part(name, entry.defaults()), steps=10)
        for candidate in draws([Candidate("parent", recipe, "")], 8, 1):
            again = Recipe.from_toml(candidate.recipe.to_toml())  # refuses what is impossible
            assert (again.loss, again.optimizer) == (candidate.recipe.loss, candidate.recipe.optimizer)


# plans that are given ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"price": 2}, {"lr": 0.1}, {"losses": ["huber"]}, {"optimizer": "sgd"}])
def test_a_plan_beside_what_it_has_already_is_refused(given: dict[str, Any], tmp_path: Path) -> None:
    plan = make_plan(prepare(problem()), price=1, constraints=Constraints())
    with pytest.raises(fallline.UsageError, match=f"leave out {next(iter(given))}"):
        fallline.choose(problem(), plan=plan, out=tmp_path / "run", **given)


def test_a_plan_for_another_kind_of_problem_is_refused(tmp_path: Path) -> None:
    plan = make_plan(prepare(problem()), price=1, constraints=Constraints())
    with pytest.raises(fallline.UsageError, match="made for metric mae"):
        fallline.choose(problem(metric="rmse"), plan=plan, out=tmp_path / "run")
    labels = (torch.randn(600, 4), (torch.rand(600, 1) > 0.5).float())
    with pytest.raises(fallline.UsageError, match=r"loss .* is for"):
        fallline.choose(problem(train=labels, metric="auroc"), plan=replace(plan, made_for={}), out=tmp_path / "run")
    own = make_plan(prepare(problem(loss=nn.L1Loss())), price=1, constraints=Constraints())
    with pytest.raises(fallline.UsageError, match="your own loss"):
        fallline.choose(problem(), plan=own, out=tmp_path / "run")


# runs that are resumed ---------------------------------------------------------------------------------------------------------------


def test_other_data_are_refused_and_a_refused_resume_lets_the_run_go(tmp_path: Path) -> None:
    class Stopped(BaseException):
        pass

    def stop(line: str) -> None:
        if line.startswith("rung one"):
            raise Stopped

    with pytest.raises(Stopped):
        fallline.choose(problem(), price=1, out=tmp_path / "run", say=stop)
    for _ in range(2):  # the second try finds the lock free
        with pytest.raises(fallline.RefusedError, match=r"data of run .* have changed"):
            fallline.resume(tmp_path / "run", problem(bias=1.0))
    Run.open(tmp_path / "run").release()
    assert fallline.resume(tmp_path / "run", problem()).status


class Rows(Dataset[Any]):
    def __init__(self, bias: float = 0.0, own_noise: bool = False) -> None:
        self.bias, self.noise = bias, torch.Generator().manual_seed(0) if own_noise else None

    def __len__(self) -> int:
        return 600

    def __getitem__(self, index: int) -> Any:
        noise = torch.zeros(4) if self.noise is None else torch.randn(4, generator=self.noise)
        return torch.full((4,), float(index)) + noise, torch.tensor([index + self.bias])


def test_fingerprints_tell_data_apart_and_leave_out_datasets_that_draw_for_themselves() -> None:
    def of(train: Any) -> str:
        return fingerprint(open_data(problem(train=train)))

    assert of(Rows()) == of(Rows())
    assert of(Rows()) != of(Rows(bias=1.0))
    noisy = Rows(own_noise=True)
    assert of(noisy) == of(noisy)
    x = torch.randn(600, 4)
    assert of((x, x[:, :1])) != of((x, x[:, 1:2]))


def test_weights_are_written_whole_and_tied_ones_once(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    keep_weights(model, tmp_path / "model.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    assert torch.equal(load_file(tmp_path / "model.safetensors")["0.weight"], model.state_dict()["0.weight"])


# a training of one recipe ------------------------------------------------------------------------------------------------------------


def test_train_needs_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(prepare(problem()), price=1, constraints=Constraints())
    monkeypatch.setattr(_planning, "candidates", lambda *_args, **_given: pytest.fail("a recipe is given"))
    trained = fallline.train(problem(), replace(plan.baseline, steps=0))
    assert trained.recipe.steps == plan.length
