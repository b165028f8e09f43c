"""Embeddings: losses equal those of pytorch-metric-learning and slow formulas, metrics equal counting by hand, a task from end to end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from exporting import Checker, opened, same_weights
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import fallline
from fallline import catalogue
from fallline._errors import RefusedError, UsageError
from fallline._parts import build_loss, learnt
from fallline._recipe import Part, Recipe
from fallline._setting import prepare
from fallline.catalogue import LossFunction
from fallline.metrics import named

SEEDS = st.integers(0, 2**32)


def drawn(seed: int, rows: int = 24, dimensions: int = 6, classes: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(rows, dimensions, generator=generator, dtype=torch.float64)
    return output, torch.randint(classes, (rows,), generator=generator)


def built(name: str, **settings: Any) -> Any:
    entry = catalogue.loss(name)
    function = entry.build({**entry.defaults(), **settings})
    return function.double() if isinstance(function, nn.Module) else function


def gradient(loss: LossFunction, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    leaf = output.clone().requires_grad_()
    value = loss(leaf, target)
    return value.detach(), torch.autograd.grad(value, leaf)[0]


def unit(output: Tensor) -> Tensor:
    return output / output.norm(dim=1, keepdim=True)


# formulas ---------------------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, margin=st.floats(0.05, 1.0))
def test_the_triplet_loss_is_that_of_the_farthest_of_the_class_and_the_nearest_stranger(seed: int, margin: float) -> None:
    output, target = drawn(seed)
    points, terms = unit(output), []
    for i in range(len(points)):
        own = [float((points[i] - points[j]).square().sum()) for j in range(len(points)) if j != i and target[j] == target[i]]
        other = [float((points[i] - points[j]).square().sum()) for j in range(len(points)) if target[j] != target[i]]
        if own and other:
            terms.append(max(max(own) - min(other) + margin, 0.0))
    wanted = torch.tensor(sum(terms) / max(len(terms), 1), dtype=torch.float64)
    torch.testing.assert_close(built("triplet", margin=margin)(output, target), wanted)


@given(seed=SEEDS, temperature=st.floats(0.05, 1.0))
def test_contrastive_losses_are_their_formulas(seed: int, temperature: float) -> None:
    output, target = drawn(seed)
    cosine = unit(output) @ unit(output).T / temperature
    pairs, examples = [], []
    for i in range(len(output)):
        same = [j for j in range(len(output)) if j != i and target[j] == target[i]]
        strangers = [j for j in range(len(output)) if target[j] != target[i]]
        others = sum(math.exp(float(cosine[i, j])) for j in range(len(output)) if j != i)
        shares = []
        for j in same:
            mine = math.exp(float(cosine[i, j]))
            pairs.append(-math.log(mine / (mine + sum(math.exp(float(cosine[i, k])) for k in strangers))))
            shares.append(-math.log(mine / others))
        if shares:
            examples.append(sum(shares) / len(shares))
    wanted = [torch.tensor(sum(terms) / max(len(terms), 1), dtype=torch.float64) for terms in (pairs, examples)]
    torch.testing.assert_close(built("info_nce", temperature=temperature)(output, target), wanted[0])
    torch.testing.assert_close(built("supervised_contrastive", temperature=temperature)(output, target), wanted[1])


def test_a_batch_that_holds_no_two_of_a_class_teaches_nothing_and_breaks_nothing() -> None:
    output, target = drawn(0, rows=5)[0], torch.arange(5)
    for name in ("triplet", "info_nce", "supervised_contrastive"):
        for labels in (target, torch.zeros_like(target)) if name == "triplet" else (target,):
            value, slope = gradient(built(name), output, labels)
            assert float(value) == 0.0
            assert not slope.any()


THEIRS = pytest.mark.filterwarnings("ignore")  # what their imports say is not ours to mend


@THEIRS
@pytest.mark.parametrize("seed", range(5))
def test_losses_equal_those_of_pytorch_metric_learning_in_value_and_gradient(seed: int) -> None:
    losses = pytest.importorskip("pytorch_metric_learning.losses", reason="compares with pytorch-metric-learning")
    from pytorch_metric_learning import distances, miners, reducers

    output, target = drawn(seed, rows=30)
    squared = distances.LpDistance(power=2)
    hard = miners.BatchHardMiner(distance=squared)
    hinge = losses.TripletMarginLoss(margin=0.2, distance=squared, reducer=reducers.MeanReducer())
    proxies = losses.ProxyAnchorLoss(num_classes=5, embedding_size=6, margin=0.1, alpha=32).double()
    anchor = built("proxy_anchor", classes=5, dimensions=6)
    anchor.proxies.data.copy_(proxies.proxies.data)
    cases = {
        "info_nce": (built("info_nce"), losses.NTXentLoss(temperature=0.1)),
        "supervised_contrastive": (built("supervised_contrastive"), losses.SupConLoss(temperature=0.1)),
        "triplet": (built("triplet"), lambda x, y: hinge(x, y, hard(x, y))),
        "proxy_anchor": (anchor, proxies),
    }
    for name, (ours, theirs) in cases.items():
        mine, other = gradient(ours, output, target), gradient(theirs, output, target)
        torch.testing.assert_close(mine[0], other[0], rtol=1e-7, atol=1e-9, msg=name)
        torch.testing.assert_close(mine[1], other[1], rtol=1e-6, atol=1e-8, msg=name)
    value = anchor(output, target)
    torch.testing.assert_close(
        torch.autograd.grad(value, anchor.proxies)[0], torch.autograd.grad(proxies(output, target), proxies.proxies)[0]
    )


# metrics ----------------------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS)
def test_retrieval_metrics_are_what_counting_gives(seed: int) -> None:
    output, target = drawn(seed, rows=20)
    cosine = unit(output) @ unit(output).T
    first, precision = [], []
    for i in range(len(output)):
        order = sorted((j for j in range(len(output)) if j != i), key=lambda j: -float(cosine[i, j]))
        hits = [bool(target[j] == target[i]) for j in order]
        first.append(float(hits[0]))
        size = sum(hits)
        precision.append(sum(sum(hits[: k + 1]) / (k + 1) for k in range(size) if hits[k]) / size if size else 0.0)
    assert named("recall_at_1").whole(output, target) == pytest.approx(sum(first) / len(first), abs=1e-12)
    assert named("map_at_r").whole(output, target) == pytest.approx(sum(precision) / len(precision), abs=1e-12)


def test_recall_at_1_is_the_hit_rate_of_torchmetrics() -> None:
    from torchmetrics.retrieval import RetrievalHitRate

    output, target = drawn(3, rows=50)
    cosine = unit(output) @ unit(output).T
    others = ~torch.eye(50, dtype=torch.bool)
    queries = torch.arange(50).unsqueeze(1).expand(50, 50)
    theirs = RetrievalHitRate(top_k=1)(cosine[others], (target.unsqueeze(1) == target)[others], indexes=queries[others])
    assert named("recall_at_1").whole(output, target) == pytest.approx(float(theirs))


def test_blocks_of_neighbours_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    output, target = drawn(1, rows=40)
    whole = [named(name).each(output, target) for name in ("recall_at_1", "map_at_r")]  # type: ignore[misc]
    monkeypatch.setattr("fallline.metrics._neighbours.BLOCK", 7 * 40)
    for name, before in zip(("recall_at_1", "map_at_r"), whole, strict=True):
        torch.testing.assert_close(named(name).each(output, target), before)  # type: ignore[misc]


def test_embeddings_that_are_all_equal_find_by_chance_and_rank_nothing() -> None:
    target = torch.tensor([0, 0, 1, 1])
    assert named("recall_at_1").whole(torch.ones(4, 3), target) == pytest.approx(1 / 3)
    assert named("map_at_r").whole(torch.ones(4, 3), target) == 0.0


# from end to end --------------------------------------------------------------------------------------------------------------------

FILE = """
import torch
from torch import nn
import fallline

def model():
    return nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 4))

def problem():
    generator = torch.Generator().manual_seed(1)
    centres = torch.randn(6, 8, generator=generator)
    y = torch.arange(600) % 6
    x = centres[y] + torch.randn(600, 8, generator=generator)
    return fallline.Problem(model=model, train=(x, y), task="embedding", batch_size=60, epochs=3{more})
"""


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


def test_a_race_of_embeddings_beats_the_untrained_model_and_is_repeated_by_train(tmp_path: Path) -> None:
    given = opened(tmp_path / "work", FILE)
    verdict = fallline.choose(given, price=2, engine="sequential", losses=["proxy_anchor", "triplet"])
    setting = prepare(given)
    assert (setting.profile.task, setting.judge.metric.name, setting.profile.classes) == ("embedding", "recall_at_1", 6)
    assert verdict.document["baseline_recipe"]["loss"]["name"] == "supervised_contrastive"
    untrained = setting.judge.value(*setting.bench_of(0, 0).outputs(given.new_model(0), "audit"), None)
    trained = fallline.train(given, verdict.recipe)
    assert same_weights(trained.network.state_dict(), verdict.model.state_dict())
    assert trained.audit > untrained


@pytest.mark.parametrize("name", ["supervised_contrastive", "triplet", "info_nce", "proxy_anchor"])
def test_a_script_trains_embeddings_alike(name: str, tmp_path: Path, check_same: Checker) -> None:
    given = opened(tmp_path / "work", FILE)
    entry = catalogue.loss(name)
    part = Part(name, {k: v for k, v in entry.settle(entry.defaults(), prepare(given).profile).items() if v is not None})
    text = check_same(given, {"loss": part})
    assert ("what the loss learns" in text) == entry.learns


def test_valid_may_hold_classes_that_train_never_saw() -> None:
    x, y = drawn(0, rows=300, classes=10)
    new = (x[:100].float(), y[:100] + 10)
    given = fallline.Problem(
        model=lambda: nn.Linear(6, 4), train=(x.float(), y), valid=new, audit=new, task="embedding", batch_size=50, epochs=1
    )
    assert prepare(given).profile.classes == 10


REFUSED = {
    "whole numbers in floats": ((torch.randn(100, 6), torch.randn(100)), "are class numbers, got torch.float32"),
    "several targets": ((torch.randn(100, 6), torch.zeros(100, 2, dtype=torch.long)), "shaped .N, dimensions. against .N."),
    "below zero": ((torch.randn(100, 6), torch.arange(100) - 1), "must be zero or more, got -1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_embedding_is_refused(case: str) -> None:
    data, why = REFUSED[case]
    with pytest.raises(RefusedError, match=why):
        prepare(fallline.Problem(model=lambda: nn.Linear(6, 4), train=data, valid=data, audit=data, task="embedding", epochs=1))


def test_a_metric_of_embeddings_is_refused_elsewhere() -> None:
    data = (torch.randn(100, 6), torch.arange(100) % 3)
    with pytest.raises(UsageError, match="recall_at_1 is for embedding; the task here is multiclass"):
        prepare(fallline.Problem(model=lambda: nn.Linear(6, 4), train=data, metric="recall_at_1", epochs=1))


# losses that learn ------------------------------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """A loss of the user's own with a parameter: squared error of a scaled output."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(3.0))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return (self.factor * output - target).square().mean()


def regression(**more: Any) -> fallline.Problem:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    given = {"model": lambda: nn.Linear(4, 1), "train": (x, x[:, :1]), "metric": "mae", "batch_size": 20, "epochs": 3, **more}
    return fallline.Problem(**given)


def test_parameters_of_a_loss_join_the_optimizer_and_carry_over_a_pause() -> None:
    own = Scaled()
    setting = prepare(regression(loss=own))
    bench = setting.bench_of(0, 0)
    from fallline._step import start

    recipe = Recipe(loss=Part("own"), optimizer=Part("adamw", {"lr": 0.05}), steps=20)
    straight, first = start(bench, recipe), start(bench, recipe)
    assert any(parameter is straight.loss.factor for group in straight.optimizer.param_groups for parameter in group["params"])
    straight.advance(20)
    first.advance(9)
    second = start(bench, recipe)
    second.restore(first.state())
    second.advance(20)
    assert straight.loss.factor.item() == second.loss.factor.item() != 3.0
    assert same_weights(straight.model.state_dict(), second.model.state_dict())
    assert own.factor.item() == 3.0, "the user's own loss is trained in copies"


@pytest.mark.parametrize("kind", ["object", "function", "none"])
def test_the_users_optimizer_trains_the_copy_of_the_loss_that_it_held(kind: str) -> None:
    own, model = Scaled(), nn.Linear(4, 1)
    both = [*model.parameters(), *own.parameters()]
    optimizers = {
        "object": torch.optim.SGD(both, lr=0.01),
        "function": lambda made: torch.optim.SGD([*made.parameters(), *own.parameters()], lr=0.01),
        "none": None,
    }
    given = regression(loss=own, optimizer=optimizers[kind], model=model)
    verdict = fallline.choose(given, price=1, engine="sequential")
    assert own.factor.item() == 3.0
    assert same_weights(verdict.model.state_dict(), fallline.train(given, verdict.recipe).network.state_dict())


def test_each_training_draws_the_loss_from_its_own_seed() -> None:
    part = Part("proxy_anchor", {"classes": 3, "dimensions": 4})
    made = [build_loss(Recipe(loss=part, optimizer=Part("adamw"), seed=seed)) for seed in (0, 0, 1)]
    proxies = [learnt(loss)[0] for loss in made]
    assert torch.equal(proxies[0], proxies[1])
    assert not torch.equal(proxies[0], proxies[2])


def test_the_fused_engine_trains_what_learns_alone(tmp_path: Path) -> None:
    given = regression(loss=Scaled())
    fused, plain = (
        fallline.choose(given, price=2, engine=engine, out=tmp_path / engine).document["candidates"] for engine in ("fused", "sequential")
    )
    assert [row["metric"] for row in fused] == [row["metric"] for row in plain], "they would differ by rounding, had they been fused"
