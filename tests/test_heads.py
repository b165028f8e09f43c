"""Losses that need another end of the model: where it can be changed safely, what is changed, and that everything reproduces it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened, same_weights
from torch import Tensor, nn

import fallline
from fallline import catalogue
from fallline._adapt import SharedLinear, adapt, end_of
from fallline._errors import UsageError
from fallline._head import Head
from fallline._judge import judge_of
from fallline._ranking import plain_loss, ranked_losses, why_not
from fallline._recipe import Part, Recipe
from fallline._setting import prepare
from fallline._step import start

X = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
AMOUNT = X[:, :1] * 2 + X[:, 1:2].exp() * torch.randn(300, 1, generator=torch.Generator().manual_seed(1))
GRADES = torch.bucketize(X[:, 0].contiguous(), torch.tensor([-1.0, -0.3, 0.3, 1.0]))


def body() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.2))


class Net(nn.Module):
    """A body, a head, and what a user's forward does with the two."""

    def __init__(self, outputs: int = 1, ends: Callable[[Any, Tensor], Tensor] = lambda net, x: net.head(x), **more: nn.Module) -> None:
        super().__init__()
        self.body, self.head, self.ends = body(), nn.Linear(8, outputs), ends
        for name, module in more.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.ends(self, self.body(x))


def frozen() -> nn.Module:
    model = Net()
    model.head.requires_grad_(False)
    return model


def tied() -> nn.Module:
    model = Net(8, lambda net, x: net.head(net.other(x)), other=nn.Linear(8, 8))
    model.other.weight = model.head.weight
    return model


# where ------------------------------------------------------------------------------------------------------------------------------

SAFE: dict[str, tuple[nn.Module, str, str]] = {
    "the last of a Sequential": (nn.Sequential(body(), nn.Linear(8, 1)), "1", ""),
    "a head": (Net(), "head", ""),
    "a head whose single output is squeezed": (Net(ends=lambda net, x: net.head(x).squeeze(-1)), "head", ""),
    "a head before a layer that changes nothing": (nn.Sequential(body(), nn.Linear(8, 1), nn.Identity(), nn.Flatten()), "1", ""),
    "a head before a sigmoid": (nn.Sequential(body(), nn.Linear(8, 1), nn.Sigmoid()), "1", "2"),
    "a head before a softmax": (Net(3, lambda net, x: net.last(net.head(x)), last=nn.LogSoftmax(dim=1)), "head", "last"),
}
FIXED: dict[str, tuple[nn.Module, str]] = {
    "one number of the head is taken": (Net(ends=lambda net, x: net.head(x)[:, 0]), "does not hand on what a wider"),
    "a squeeze that fails": (Net(ends=lambda net, x: net.head(x).reshape(len(x), 1)), "fails with more outputs"),
    "something is added": (Net(ends=lambda net, x: net.head(x) + x[:, :1]), "does not end in a layer"),
    "a sigmoid in the forward": (Net(ends=lambda net, x: net.head(x).sigmoid()), "does not end in a layer"),
    "written to in place": (Net(ends=lambda net, x: net.head(x).relu_()), "does not end in a layer"),
    "a layer of another kind": (Net(8, lambda net, x: net.norm(net.head(x)), norm=nn.LayerNorm(8)), "ends in LayerNorm"),
    "frozen": (frozen(), "has its last layer head frozen"),
    "tied weights": (tied(), "uses the weights of head elsewhere too"),
    "called twice": (Net(8, lambda net, x: net.head(net.head(x))), "calls head several times"),
    "a single layer": (nn.Linear(5, 1), "is a single layer"),
}


@pytest.mark.parametrize("case", SAFE)
def test_an_end_that_can_be_changed_is_found(case: str) -> None:
    model, layer, activation = SAFE[case]
    before, mode = copy.deepcopy(model.state_dict()), [module.training for module in model.modules()]
    modules = list(model.modules())
    end = end_of(model, X)
    assert (end.layer, end.activation, end.fixed) == (layer, activation, "")
    assert same_weights(model.state_dict(), before), "looking changed the model"
    assert all(one is other for one, other in zip(modules, model.modules(), strict=True))
    assert [module.training for module in model.modules()] == mode
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("case", FIXED)
def test_an_end_that_cannot_be_changed_says_why(case: str) -> None:
    model, why = FIXED[case]
    end = end_of(model, X)
    assert not end.layer
    assert why in end.fixed


# what -------------------------------------------------------------------------------------------------------------------------------


def test_a_widened_head_keeps_body_and_old_outputs_and_draws_the_new_from_the_seed() -> None:
    model = Net()
    plain = model.eval()(X)
    made = [adapt(copy.deepcopy(model), Head("head", 3), seed) for seed in (1, 1, 2)]
    outputs = [one.eval()(X) for one in made]
    assert torch.allclose(outputs[0][:, :1], plain)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])
    assert same_weights(made[0].body.state_dict(), model.body.state_dict())
    assert all(parameter.requires_grad for parameter in made[0].parameters())


def test_adapting_leaves_the_generators_alone_and_needs_the_layer() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    adapt(copy.deepcopy(SAFE["a head"][0]), Head("head", 2), 0)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(UsageError, match="changes the layer 'end', which this model does not have; it has body"):
        adapt(copy.deepcopy(SAFE["a head"][0]), Head("end", 2), 0)
    with pytest.raises(UsageError, match="outputs of 'body', which is no"):
        adapt(copy.deepcopy(SAFE["a head"][0]), Head("body", 2), 0)


def test_a_shared_head_orders_its_outputs_by_one_direction() -> None:
    head = SharedLinear(8, 4)
    features = torch.randn(20, 8)
    steps = head(features).diff(dim=1)
    assert torch.allclose(steps, steps[:1].expand_as(steps), atol=1e-6)
    assert torch.allclose(head.bias, torch.tensor([1.0, 0.75, 0.5, 0.25]))


# which losses -----------------------------------------------------------------------------------------------------------------------


def problem(model: nn.Module | Callable[[], nn.Module], target: Tensor, **more: Any) -> fallline.Problem:
    return fallline.Problem(model=model, train=(X, target), batch_size=20, epochs=3, **more)


def test_losses_that_change_the_end_come_after_those_that_take_the_model_as_it_is() -> None:
    setting = prepare(problem(Net, AMOUNT))
    ranked = [loss.name for loss in ranked_losses(setting.profile, setting.judge)]
    changes = [catalogue.loss(name).head(setting.profile) is not None for name in ranked]
    assert changes == sorted(changes)
    assert {"gaussian_nll", "beta_nll", "crps_gaussian"} <= set(ranked)
    assert plain_loss(setting.profile) == "mse"


def test_where_the_end_is_fixed_the_reason_is_given() -> None:
    unsafe = problem(lambda: Net(ends=lambda net, x: net.head(x)[:, :1]), AMOUNT, metric="rmse")
    setting = prepare(unsafe)
    why = why_not(setting.profile)["gaussian_nll"]
    assert why == (
        "needs 2 model output(s) per target, the model gives 1, and its outputs cannot be changed: "
        "the model does not hand on what a wider last layer gives"
    )
    with pytest.raises(UsageError, match=r"loss gaussian_nll needs 2 model output.*cannot be changed"):
        fallline.choose(unsafe, losses=["gaussian_nll"], price=1)


def test_a_model_that_ends_in_an_activation_is_offered_the_losses_of_logits() -> None:
    model = nn.Sequential(body(), nn.Linear(8, 1), nn.Sigmoid())
    setting = prepare(problem(model, (AMOUNT > 0).float(), metric="auroc"))
    names = [loss.name for loss in ranked_losses(setting.profile, setting.judge)]
    assert setting.profile.output_kind == "probability"
    assert names[0] == "bce"
    assert {"bce_with_logits", "focal"} <= set(names)
    assert catalogue.loss("focal").head(setting.profile) == Head(without="2", does="sigmoid")
    inside = prepare(problem(Net(ends=lambda net, x: net.head(x).sigmoid()), (AMOUNT > 0).float(), metric="auroc"))
    assert "come from no activation module" in why_not(inside.profile)["focal"]


def test_class_probabilities_are_trained_as_logits_and_handed_back_as_probabilities() -> None:
    model = nn.Sequential(body(), nn.Linear(8, 5), nn.Softmax(dim=1))
    given = problem(model, GRADES)
    setting = prepare(given)
    assert setting.profile.output_kind == "probability"
    assert plain_loss(setting.profile) == "cross_entropy"
    verdict = fallline.choose(given, price=1)
    assert torch.allclose(verdict.model(X).sum(dim=1), torch.ones(len(X)), atol=1e-5)
    assert verdict.document["candidates"][0]["recipe"]["head"] == {
        "layer": "", "outputs": 0, "shared": False, "without": "2", "does": "softmax",
    }  # fmt: skip


# reproduced -------------------------------------------------------------------------------------------------------------------------

CASES: dict[str, tuple[Callable[[], nn.Module], Tensor, dict[str, Any], str]] = {
    "two outputs from one": (Net, AMOUNT, {"metric": "rmse"}, "gaussian_nll"),
    "two outputs from one, squeezed": (SAFE["a head whose single output is squeezed"][0], AMOUNT[:, 0], {"metric": "mae"}, "beta_nll"),
    "ranks": (lambda: Net(5), GRADES, {"task": "ordinal"}, "coral"),
    "logits behind a sigmoid": (lambda: Net(1, lambda n, x: n.last(n.head(x)), last=nn.Sigmoid()), (AMOUNT > 0).float(), {}, "focal"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_winner_of_a_race_is_what_train_gives_and_speaks_as_the_plain_model_does(case: str, tmp_path: Path) -> None:
    model, target, options, loss = CASES[case]
    given = problem(model, target, **options)
    verdict = fallline.choose(given, losses=[loss], optimizer="adamw", price=1, out=tmp_path / "run", engine="sequential")
    entered = verdict.document["candidates"]
    row = next(row for row in entered if row["recipe"]["loss"]["name"] == loss)
    assert "widened from 1 to 2 outputs" in row["reason"] or "share their weights" in row["reason"] or "left out" in row["reason"]
    recipe = Recipe.from_dict(row["recipe"])
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    trained = fallline.train(given, recipe)
    plain = (model if isinstance(model, nn.Module) else model()).eval()(X)
    assert trained.model(X).shape == plain.shape or (loss == "beta_nll" and trained.model(X).numel() == plain.numel())
    if verdict.recipe.loss.name == loss:
        assert same_weights(fallline.train(given, verdict.recipe).network.state_dict(), torch_state(verdict))


def torch_state(verdict: Any) -> dict[str, Tensor]:
    model = verdict.model
    return dict(getattr(model, "model", model).state_dict())


def test_a_pause_changes_nothing_and_a_loop_of_ones_own_trains_the_adapted_model() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
        for inputs, target in loader:
            loss(model(inputs), target).backward()
            optimizer.step()
            optimizer.zero_grad()

    recipe = Recipe(loss=Part("gaussian_nll"), optimizer=Part("adamw", {"lr": 0.01}), head=Head("head", 2), steps=20, seed=3)
    bench = prepare(problem(Net, AMOUNT, metric="rmse")).bench_of(0, 0)
    whole, first = start(bench, recipe), start(bench, recipe)
    whole.advance(20)
    first.advance(7)
    second = start(bench, recipe)
    second.restore(first.state())
    second.advance(20)
    assert same_weights(whole.final().state_dict(), second.final().state_dict())
    own = fallline.train(problem(Net, AMOUNT, metric="rmse", loop=loop), recipe)
    assert own.network.head.out_features == 2
    assert own.model(X).shape == (len(X), 1)


FILE = """
import torch
from torch import nn
import fallline

def model():
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, {outputs}){end})

def problem():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 5, generator=generator)
    y = x[:, :1] + 0.5 * torch.randn(300, 1, generator=generator)
    {target}
    return fallline.Problem(model=model, train=(x, y), batch_size=20, epochs=2, {options})
"""
SCRIPTS = {
    "gaussian_nll": ("1", "", "pass", 'metric="rmse"', Head("3", 2)),
    "coral": ("4", "", "y = torch.bucketize(y[:, 0].contiguous(), torch.tensor([-1.0, 0.0, 1.0]))", 'task="ordinal"', Head("3", 3, True)),
    "focal": ("1", ", nn.Sigmoid()", "y = (y > 0).float()", 'metric="log_loss"', Head(without="4", does="sigmoid")),
}


@pytest.mark.parametrize("loss", SCRIPTS)
def test_the_exported_script_changes_the_head_alike(
    loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs, end, target, options, head = SCRIPTS[loss]
    text = FILE
    for name, value in {"outputs": outputs, "end": end, "target": target, "options": options}.items():
        text = text.replace("{" + name + "}", value)
    given = opened(tmp_path / "work", text)
    assert catalogue.loss(loss).head(prepare(given).profile) == head
    script = Checker(tmp_path, monkeypatch, capsys)(given, {"loss": Part(loss, catalogue.loss(loss).defaults()), "head": head})
    assert "change_head(model, " in script


def test_a_recipe_builds_plain_parts_for_an_adapted_model_and_refuses_another() -> None:
    recipe = Recipe(loss=Part("gaussian_nll"), optimizer=Part("adamw", {"lr": 0.01}), head=Head("head", 2), steps=10)
    model = Net()
    with pytest.raises(UsageError, match=r"head widened from its to 2 outputs.*recipe\.adapt\(model\)"):
        recipe.build(model)
    adapted = recipe.adapt(model)
    parts = recipe.build(adapted)
    held = {id(parameter) for group in parts.optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in adapted.parameters()}
    assert adapted.head.out_features == 2


def test_an_impossible_head_in_a_recipe_is_refused() -> None:
    whole = Recipe(loss=Part("mse"), optimizer=Part("adamw", {"lr": 0.01}), head=Head("head", 2)).to_dict()
    for table in ({"layer": "head"}, {"outputs": "2", "layer": "head"}, {"without": "3"}, {"without": "3", "does": "relu"}, {"rows": 2}, 3):
        with pytest.raises(UsageError, match=r"\[head\] in the recipe needs"):
            Recipe.from_dict({**whole, "head": table})


def test_judging_an_adapted_model_reads_its_mean() -> None:
    given = problem(Net, AMOUNT, metric="rmse")
    setting = prepare(given)
    judge = judge_of(given, setting.profile)
    outputs = torch.cat([AMOUNT, torch.zeros_like(AMOUNT)], dim=1)
    assert judge.value(outputs, AMOUNT, catalogue.loss("gaussian_nll").link) == 0.0
