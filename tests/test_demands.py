"""What some optimizers ask of a loop is met in training, over pauses and in the exported script: the loss again, other weights to judge."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import PLAIN, Checker, opened
from hypothesis import given
from hypothesis import strategies as st
from test_pausing import Still, bench, chosen, recipe, rows
from torch import nn

import fallline
from fallline import catalogue
from fallline._demands import backward_keeping_graph, judging
from fallline._errors import UsageError
from fallline._loop import LoopTraining
from fallline._recipe import Average, Part
from fallline._step import start
from fallline.testing.optimizers import bowl, descend, parameters_of
from fallline.testing.optimizers import start as fresh

ASKING = [name for name, entry in catalogue.all_optimizers().items() if entry.closure]
GRAPH = [name for name, entry in catalogue.all_optimizers().items() if entry.graph_every is not None] + ["adahessian"]
SWITCHING = [name for name, entry in catalogue.all_optimizers().items() if entry.switches]

HALVED = """
class Halved(torch.optim.SGD):
    def eval(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.mul_(0.5)

    def train(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.mul_(2.0)

"""


def needed(name: str) -> None:
    if package := catalogue.optimizer(name).package:
        pytest.importorskip(package, reason='needs the extra: pip install "fallline[optimizers]"')


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


# The loss again ----------------------------------------------------------------------------------------------------------------------


def test_lbfgs_steps_as_in_the_loop_that_torch_shows() -> None:
    where, what = bench(model=Still, batch_size=100), recipe(optimizer=chosen(catalogue.optimizer("lbfgs"), {}), steps=5, decay_on="all")
    training = start(where, what)
    model = copy.deepcopy(training.model)
    training.advance(5)
    optimizer = torch.optim.LBFGS(model.parameters(), history_size=10, line_search_fn="strong_wolfe")
    batches, loss_of = where.data.batches(what.seed, where.device), nn.MSELoss()
    for step in range(5):
        inputs, target = batches(step)

        def closure(inputs: Any = inputs, target: Any = target) -> torch.Tensor:
            optimizer.zero_grad()
            loss = loss_of(model(inputs), target)
            loss.backward()
            return loss  # type: ignore[no-any-return]

        optimizer.step(closure)  # type: ignore[arg-type]
    for ours, theirs in zip(training.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ASKING)
def test_a_step_counts_once_in_the_buffers_however_often_it_looks(name: str) -> None:
    needed(name)
    entry = catalogue.optimizer(name)
    where = bench(model=Still, batch_size=100) if entry.full_batch else bench()
    training = start(where, recipe(optimizer=chosen(entry, {}), steps=4, evaluations=1))
    training.advance(4)
    assert int(training.model.calls) == 4  # type: ignore[arg-type]
    assert int(training.model.layers[1].num_batches_tracked) == 4  # type: ignore[index,union-attr]


@pytest.mark.parametrize("name", ASKING)
def test_every_look_within_a_step_sees_the_same_batch_dropout_and_clip(name: str) -> None:
    needed(name)
    entry = catalogue.optimizer(name)
    where = bench(batch_size=100) if entry.full_batch else bench()
    training = start(where, recipe(optimizer=chosen(entry, {"lr": 1e-9}), clip=Part("norm", {"max_norm": 0.01}), steps=1))
    losses, lengths = [], []
    loss_of, clip = training.loss, training.clip
    assert clip is not None

    def heard(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        losses.append(loss_of(output, target))
        return losses[-1]

    def cut(parameters: Any) -> object:
        clip(parameters)
        lengths.append(float(torch.nn.utils.get_total_norm([p.grad for p in parameters])))
        return None

    training.loss, training.clip = heard, cut
    training.run(1)
    assert len(losses) == len(lengths) > 1
    for loss in losses[1:]:
        torch.testing.assert_close(loss, losses[0], rtol=0.1, atol=0.0)  # SAM looks a little beside
    assert lengths == pytest.approx([0.01] * len(lengths), rel=1e-3)


def test_the_loss_that_an_optimizer_reads_is_that_of_all_batches_of_a_step() -> None:
    training = start(bench(accumulate=3), recipe(optimizer=chosen(catalogue.optimizer("sam"), {"lr": 1e-9, "rho": 1e-9}), steps=1))
    heard = []
    step = training.optimizer.step

    def listening(closure: Any) -> Any:
        return step(lambda: heard.append(float(loss := closure())) or loss)

    training.optimizer.step = listening  # type: ignore[method-assign]
    losses = []
    loss_of = training.loss
    training.loss = lambda output, target: losses.append(loss_of(output, target)) or losses[-1]
    training.run(1)
    assert heard[0] == pytest.approx(sum(float(loss.detach()) for loss in losses[:3]) / 3)


@pytest.mark.parametrize("name", ASKING)
def test_what_cannot_give_the_loss_again_refuses_the_optimizer(name: str) -> None:
    needed(name)
    part = chosen(catalogue.optimizer(name), {})
    with pytest.raises(UsageError, match="cannot follow"):
        start(bench(precision="16"), recipe(optimizer=part))
    where = bench(loop=lambda model, loss, optimizer, scheduler, loader: None)
    with pytest.raises(UsageError, match="calls a closure"):
        LoopTraining.start(where, recipe(optimizer=part))


@pytest.mark.parametrize("name", ASKING)
@pytest.mark.parametrize("more", ["", "accumulate=2"])
def test_the_script_gives_the_loss_again(name: str, more: str, tmp_path: Path, check_same: Checker) -> None:
    needed(name)
    entry = catalogue.optimizer(name)
    text = check_same(
        opened(tmp_path / "work", more=more), {"optimizer": chosen(entry, {}), "clip": Part("norm", {"max_norm": 10.0}), "keep": "best"}
    )
    assert "step_with_closure(optimizer, model, gradients)" in text


@pytest.mark.parametrize("name", [name for name, entry in catalogue.all_optimizers().items() if entry.full_batch])
def test_an_optimizer_for_one_batch_is_refused_where_there_are_more(name: str) -> None:
    problem = fallline.Problem(model=Still, train=rows(200, 1), metric="mae", batch_size=16, epochs=2)
    with pytest.raises(UsageError, match=f"optimizer {name} needs the whole of train in one batch"):
        fallline.choose(problem, price=1, optimizer=name)


# Second derivatives ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPH)
@pytest.mark.parametrize("more", [{}, {"accumulate": 2}, {"precision": "bf16"}, {"precision": "64"}], ids=str)
def test_gradients_can_be_differentiated_again_at_the_steps_that_want_it(name: str, more: dict[str, Any]) -> None:
    needed(name)
    entry = catalogue.optimizer(name)
    for clip in ("none", "norm", "value", "unit", "percentile"):
        part = Part(clip, {**catalogue.clip(clip).defaults()})
        training = start(bench(**more), recipe(optimizer=chosen(entry, {}), clip=part, steps=12, evaluations=1))
        training.advance(12)
        assert all(parameter.grad is None for parameter in training.model.parameters()), "a graph that is kept fills the memory"
        assert all(tensor.isfinite().all() for tensor in training.model.parameters())


def test_gradients_that_keep_their_graph_are_those_of_backward_and_are_added_up() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        model(x).square().mean().backward()
    plain = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    for _ in range(2):
        backward_keeping_graph(model(x).square().mean(), list(model.parameters()))
    for mine, theirs in zip(model.parameters(), plain, strict=True):
        assert mine.grad is not None
        assert torch.equal(mine.grad, theirs)
        assert mine.grad.requires_grad
    model.zero_grad()


@pytest.mark.parametrize("name", GRAPH)
def test_what_keeps_no_graph_refuses_the_optimizer(name: str) -> None:
    needed(name)
    part = chosen(catalogue.optimizer(name), {})
    with pytest.raises(UsageError, match="cannot follow"):
        start(bench(precision="16"), recipe(optimizer=part))
    where = bench(loop=lambda model, loss, optimizer, scheduler, loader: None)
    with pytest.raises(UsageError, match="keeps no graph"):
        LoopTraining.start(where, recipe(optimizer=part))


@pytest.mark.parametrize("name", GRAPH)
@pytest.mark.parametrize("more", ["", "accumulate=2"])
def test_the_script_keeps_the_graph_where_training_does(name: str, more: str, tmp_path: Path, check_same: Checker) -> None:
    needed(name)
    text = check_same(opened(tmp_path / "work", more=more), {"optimizer": chosen(catalogue.optimizer(name), {}), "keep": "best"})
    assert "backward_keeping_graph(loss, parameters)" in text


# Other weights to judge --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SWITCHING)
def test_judging_leaves_no_trace_in_training(name: str) -> None:
    needed(name)
    entry = catalogue.optimizer(name)
    seldom, often = (start(bench(), recipe(optimizer=chosen(entry), evaluations=looks)) for looks in (1, 20))
    seldom.advance(30)
    often.advance(30)
    assert len(often.looks) > len(seldom.looks)
    assert all(torch.equal(a, b) for a, b in zip(seldom.model.parameters(), often.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(seldom.final().parameters(), often.final().parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(seldom.final().parameters(), seldom.model.parameters(), strict=True))


@pytest.mark.parametrize("name", SWITCHING)
@pytest.mark.parametrize("changes", [{}, {"keep": "best"}, {"average": Average(0.9)}], ids=str)
def test_the_script_judges_the_same_weights(name: str, changes: dict[str, Any], tmp_path: Path, check_same: Checker) -> None:
    needed(name)
    text = check_same(opened(tmp_path / "work"), {"optimizer": chosen(catalogue.optimizer(name)), **changes})
    assert "optimizer.eval()" in text
    assert ("with judging(optimizer)" in text) == ("keep" in changes)


def test_an_optimizer_of_the_users_own_that_switches_is_judged_as_it_wants(tmp_path: Path, check_same: Checker) -> None:
    file = PLAIN.replace("class Net", HALVED + "class Net")
    problem = opened(tmp_path / "work", file, "optimizer=lambda model: Halved(model.parameters(), lr=0.01)")
    assert "optimizer.eval()" in check_same(problem, None)


@given(seed=st.integers(0, 2**32), begin=st.integers(0, 8))
def test_the_average_is_the_mean_of_the_weights_since_it_began(seed: int, begin: int) -> None:
    entry = catalogue.optimizer("asgd")
    groups, others = fresh(seed), parameters_of(fresh(seed))
    optimizer = entry.build(groups, {**entry.defaults(), "begin": begin})
    theirs = torch.optim.ASGD(others, lr=0.01, lambd=0.0, t0=begin)
    seen = []
    for step in range(10):
        descend(entry, optimizer, parameters_of(groups), 1, first=step)
        descend(entry, theirs, others, 1, first=step)
        seen.append([parameter.detach().clone() for parameter in parameters_of(groups)])
    with judging(optimizer):
        for k, parameter in enumerate(parameters_of(groups)):
            torch.testing.assert_close(parameter.detach(), torch.stack([weights[k] for weights in seen[begin:]]).mean(0))
    for ours, last, other in zip(parameters_of(groups), seen[-1], others, strict=True):
        assert torch.equal(ours, last)
        torch.testing.assert_close(ours, other)


@pytest.mark.parametrize("seed", range(3))
def test_sam_equals_that_of_pytorch_optimizer(seed: int) -> None:
    library = pytest.importorskip("pytorch_optimizer", reason='needs the extra: pip install "fallline[optimizers]"')
    entry = catalogue.optimizer("sam")
    groups, others = fresh(seed), parameters_of(fresh(seed))
    ours = entry.build([{**group, "decay": True} for group in groups], entry.example)
    theirs = library.SAM(others, torch.optim.SGD, rho=0.2, lr=0.02, momentum=0.5, weight_decay=0.1)
    for _ in range(10):
        for optimizer, parameters in ((ours, parameters_of(groups)), (theirs, others)):

            def closure(optimizer: Any = optimizer, parameters: Any = parameters) -> torch.Tensor:
                optimizer.zero_grad()
                loss = bowl(parameters)
                loss.backward()
                return loss

            if optimizer is theirs:
                closure()  # it wants the first gradient beforehand
            optimizer.step(closure)
    for one, other in zip(parameters_of(groups), others, strict=True):
        torch.testing.assert_close(one, other)
