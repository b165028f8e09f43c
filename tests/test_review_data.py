"""Data, judging and measuring where a user's set-up is unusual: each was got wrong once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from exporting import PLAIN, Checker, opened
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, Sampler, SequentialSampler, TensorDataset

import fallline
from fallline._batches import IN_FLIGHT_BYTES, LAYER_BYTES, TensorSource, reseeder, seeded
from fallline._constraints import Constraints
from fallline._data import _groups, open_data
from fallline._errors import RefusedError, UsageError
from fallline._judge import handed_back, link_of, stock_loss
from fallline._loader import from_loader
from fallline._plan import FEW_LOOKS, LOOKS, look_rows_for, looks_for
from fallline._planning import make_plan
from fallline._problem import Origin, torch_loss
from fallline._recipe import OWN, Part, Recipe
from fallline._run import Run
from fallline._setting import prepare

CPU = torch.device("cpu")


@pytest.fixture
def check_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Checker:
    return Checker(tmp_path, monkeypatch, capsys)


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 4, generator=generator)
    return x, x[:, :1] * 2 + 0.1 * torch.randn(count, 1, generator=generator)


def counts(count: int, seed: int) -> tuple[Tensor, Tensor]:
    x, _ = rows(count, seed)
    return x, torch.poisson((0.5 * x[:, :1]).exp(), generator=torch.Generator().manual_seed(seed))


def net() -> nn.Module:
    return nn.Linear(4, 1)


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))


def small(**given: Any) -> fallline.Problem:
    usual = {"model": net, "train": rows(320, 1), "valid": rows(100, 2), "audit": rows(100, 3), "metric": "mse", "epochs": 2}
    return fallline.Problem(**{**usual, **given})


def poisson(**given: Any) -> fallline.Problem:
    sets = {"train": counts(320, 1), "valid": counts(200, 2), "audit": counts(200, 3), "task": "count"}
    return small(**{**sets, "metric": "poisson_deviance", **given})


# the user's own loss and its link ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [nn.PoissonNLLLoss(), functional.poisson_nll_loss])
def test_torchs_own_poisson_loss_is_judged_as_the_catalogues(loss: Any) -> None:
    own, stock = (
        Recipe(loss=part, optimizer=Part("sgd", {"lr": 0.05}), schedule=Part("constant")) for part in (Part(OWN), Part("poisson_nll"))
    )
    mine, theirs = fallline.train(poisson(loss=loss), own), fallline.train(poisson(), stock)
    assert (mine.valid, mine.audit) == (theirs.valid, theirs.audit)
    x = counts(50, 4)[0]
    assert torch.equal(mine.model(x), mine.network(x).exp()), "what is handed back gives counts"


def test_a_poisson_loss_of_rates_needs_no_link() -> None:
    recipe = Recipe(loss=Part(OWN), optimizer=Part("sgd", {"lr": 0.05}), schedule=Part("constant"))
    assert link_of(recipe, poisson(loss=nn.PoissonNLLLoss(log_input=False))) is None
    assert link_of(recipe, small(loss=nn.MSELoss())) is None
    assert link_of(recipe, small(loss=lambda output, target: (output - target).abs().mean())) is None


def test_the_script_judges_the_users_own_poisson_loss_alike(tmp_path: Path, check_same: Checker) -> None:
    squares = "y = x[:, 0] * 2 + x[:, 1] ** 2 + torch.randn(500, generator=generator) * 0.3"
    file = PLAIN.replace(squares, "y = torch.exp(0.5 * x[:, 0]).round()").replace('"mae"', '"poisson_deviance"')
    assert ".exp()" in check_same(opened(tmp_path / "file", file, 'task="count", loss=nn.PoissonNLLLoss()'), None)


def test_a_users_class_with_the_name_of_a_torch_loss_is_the_users_own() -> None:
    class MSELoss(nn.Module):
        def forward(self, output: Tensor, target: Tensor) -> Tensor:
            return (output - target).abs().mean()

    class Child(nn.MSELoss):
        pass

    assert stock_loss(nn.MSELoss()) == "mse"
    assert stock_loss(functional.mse_loss) == "mse"
    for own in (MSELoss(), Child(), lambda output, target: output.mean(), None):
        assert stock_loss(own) is None
        assert not torch_loss(own)
    assert torch_loss(nn.SoftMarginLoss())
    assert stock_loss(nn.SoftMarginLoss()) is None


def test_what_is_handed_back_is_in_eval_mode() -> None:
    problem = small(model=normed)
    recipe = Recipe(loss=Part("mse"), optimizer=Part("sgd", {"lr": 0.01}), schedule=Part("constant"))
    model = handed_back(problem.new_model(), recipe, problem)
    assert not any(module.training for module in model.modules())


# loaders ----------------------------------------------------------------------------------------------------------------------------


class InTwos(Sampler[list[int]]):
    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size // 2

    def __iter__(self) -> Iterator[list[int]]:
        return iter([[i, i + 1] for i in range(0, self.size - 1, 2)])


def test_a_batch_sampler_is_kept_and_said() -> None:
    dataset = TensorDataset(*rows(320, 1))
    data = open_data(small(train=DataLoader(dataset, batch_sampler=InTwos(320))))
    assert any("InTwos is kept" in note for note in data.notes)
    batches = data.batches(0, CPU)
    assert batches.per_epoch == 160
    assert torch.equal(batches(3)[0], dataset.tensors[0][6:8])


def test_a_batch_sampler_of_plain_parts_is_no_custom_one() -> None:
    dataset = TensorDataset(*rows(320, 1))
    _, keep, notes = from_loader(DataLoader(dataset, batch_sampler=BatchSampler(SequentialSampler(dataset), 48, True)))
    assert keep == {"batch_size": 48, "drop_last": True, "shuffle": False, "sampler": None}
    assert not notes


@pytest.mark.parametrize("given", [{"replacement": True}, {"num_samples": 64}])
def test_a_random_sampler_that_draws_otherwise_is_kept(given: dict[str, Any]) -> None:
    dataset = TensorDataset(*rows(320, 1))
    loader = DataLoader(dataset, batch_size=32, sampler=RandomSampler(dataset, **given))
    _, keep, notes = from_loader(loader)
    assert keep["sampler"] is loader.batch_sampler
    assert "RandomSampler is kept" in notes[0]
    assert from_loader(DataLoader(dataset, batch_size=32, shuffle=True))[1]["sampler"] is None


def test_what_of_a_loader_is_not_used_is_said() -> None:
    dataset = TensorDataset(*rows(64))
    assert "worker_init_fn" in from_loader(DataLoader(dataset, worker_init_fn=print))[2][0]
    with pytest.raises(UsageError, match="batch_size=None"):
        from_loader(DataLoader(dataset, batch_size=None))


def test_a_last_batch_of_one_example_is_dropped() -> None:
    loader = DataLoader(TensorDataset(*rows(321, 1)), batch_size=32)
    setting = prepare(small(model=normed, train=loader))
    assert setting.steps_per_epoch == 10
    assert any("single example" in note for note in setting.notes)
    assert open_data(small(train=DataLoader(TensorDataset(*rows(322, 1)), batch_size=32))).batches(0, CPU).per_epoch == 11


# looks ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [1, 2])
def test_few_examples_make_one_smaller_batch_unless_the_user_has_set_its_size(accumulate: int) -> None:
    rows = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    given = {"model": lambda: nn.Linear(4, 1), "metric": "mae", "accumulate": accumulate}
    loader = DataLoader(TensorDataset(rows, rows[:, :1]), batch_size=64, shuffle=True)
    for train in ((rows, rows[:, :1]), loader):
        data = open_data(fallline.Problem(train=train, **given))
        assert data.batch_size * accumulate in (data.train.size, data.train.size - 1), "no example is left out that need not be"
    with pytest.raises(UsageError, match="is larger than"):
        open_data(fallline.Problem(train=(rows, rows[:, :1]), batch_size=64, **given))


def test_looks_read_enough_of_a_rare_class() -> None:
    def rare(count: int, seed: int) -> tuple[Tensor, Tensor]:
        x, _ = rows(count, seed)
        y = torch.zeros(count, 1)
        y[:: count // 6] = 1.0
        return x, y

    problem = small(train=rare(600, 1), valid=rare(6_000, 2), audit=rare(600, 3), metric="auroc", batch_size=32)
    setting = prepare(problem)
    plan = make_plan(setting, price=1, seed=0, constraints=Constraints())
    assert setting.profile.second_share == pytest.approx(6 / 6_000)
    assert plan.look_rows == 6_000, "six of 6,000 are fewer than ten"
    assert look_rows_for(10, 32, 6_000) == 256
    assert look_rows_for(10, 32, 6_000, second_share=0.02) == 500


@pytest.mark.parametrize(("length", "valid_rows", "looks"), [(3_000, 6_000, LOOKS), (200, 6_000, FEW_LOOKS), (200, 40, LOOKS)])
def test_a_training_too_short_for_twenty_looks_has_ten_with_its_rung_and_its_half(length: int, valid_rows: int, looks: int) -> None:
    assert looks_for(length, 32, valid_rows) == looks
    parts = {"loss": Part("mse"), "optimizer": Part("adamw"), "schedule": Part("constant"), "clip": Part("none")}
    steps = Recipe(**parts, steps=length, seed=0, evaluations=looks).looks()
    assert {round(0.1 * length), length // 2, length} <= set(steps)


# models -----------------------------------------------------------------------------------------------------------------------------


def test_a_function_that_returns_one_module_again_is_refused() -> None:
    shared = net()
    backbone = nn.Linear(4, 4)
    for model in (lambda: shared, lambda: nn.Sequential(backbone, nn.Linear(4, 1))):
        problem = small(model=model)
        problem.new_model()
        with pytest.raises(RefusedError, match="must build a new module on each call"):
            problem.new_model()
    given = small(model=nn.Linear(4, 1))
    assert given.new_model() is not given.new_model()


def test_frozen_weights_may_be_shared() -> None:
    backbone = nn.Linear(4, 4).requires_grad_(False)
    problem = small(model=lambda: nn.Sequential(backbone, nn.Linear(4, 1)))
    problem.new_model()
    problem.new_model()


# measuring --------------------------------------------------------------------------------------------------------------------------


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(10, 3, sparse=True)
        self.head = nn.Linear(3, 1)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.table(words))  # type: ignore[no-any-return]


def words(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(10, (count,), generator=generator), torch.randn(count, 1, generator=generator)


def test_sparse_gradients_are_refused_where_the_baseline_cannot_take_them() -> None:
    sets = {"train": words(100, 1), "valid": words(50, 2), "audit": words(50, 3)}
    with pytest.raises(RefusedError, match="table has sparse gradients"):
        prepare(small(model=Words, **sets))
    assert prepare(small(model=Words, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1), **sets)).profile.embeddings == 30


def test_what_a_training_step_raises_is_said_plainly() -> None:
    class Fails(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            if self.training:
                raise ValueError("only in training")
            return super().forward(inputs)

    with pytest.raises(RefusedError, match=r"a training step.*ValueError: only in training"):
        prepare(small(model=lambda: Fails(4, 1)))


def test_evaluation_batches_are_bounded_by_outputs() -> None:
    wide = 1 << 16

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, inputs: Tensor) -> Tensor:
            return (inputs[:, :1] * self.scale).expand(-1, wide)

    problem = small(model=Wide, train=(rows(24)[0], rows(24)[1].expand(-1, wide)), valid=(rows(8)[0], rows(8)[1].expand(-1, wide)),
                    audit=(rows(8)[0], rows(8)[1].expand(-1, wide)), batch_size=8)  # fmt: skip
    data = prepare(problem).data
    assert data.output_numbers == wide
    assert data.eval_batch("valid") * 4 * wide <= IN_FLIGHT_BYTES


def test_evaluation_batches_are_bounded_by_what_the_layers_give_and_never_below_a_steps_batch() -> None:
    width = 1 << 14
    problem = small(model=lambda: nn.Sequential(nn.Linear(rows(1)[0].shape[1], width), nn.ReLU(), nn.Linear(width, 1)), batch_size=8)
    data = prepare(problem).data
    assert data.layer_bytes == 4 * (2 * width + 1)
    assert data.eval_batch("valid") == LAYER_BYTES // data.layer_bytes
    assert replace(data, layer_bytes=1 << 40).eval_batch("valid") == data.batch_size
    assert replace(data, layer_bytes=0).eval_batch("valid") > data.eval_batch("valid")


# splits -----------------------------------------------------------------------------------------------------------------------------


def test_duplicates_are_numbered_as_they_appear() -> None:
    x = torch.tensor([[3.0, 1.0], [2.0, 1.0], [3.0, 1.0], [5.0, 1.0], [2.0, 1.0]])
    for inputs in (x, (x[:, :1], x[:, 1:])):
        source = TensorSource((inputs, torch.zeros(5, 1)))
        assert _groups(source) is not None
        assert np.array_equal(_groups(source), [0, 1, 0, 2, 1])


def test_a_valid_set_is_halved_with_its_own_groups_and_classes() -> None:
    x, _ = rows(2_000, 5)
    twice = torch.cat([x, x]), (torch.arange(4_000) % 2_000 < 40).float()[:, None]
    data = open_data(small(train=(rows(400)[0], (rows(400)[0][:, :1] > 0).float()), valid=twice, audit=None))
    assert data.split is not None
    assert data.split.audit_from_valid
    sides = [set(map(tuple, part.tree[0].tolist())) for part in (data.valid, data.audit)]  # type: ignore[attr-defined]
    assert not sides[0] & sides[1], "no duplicate on both sides"
    assert [int(part.tree[1].sum()) for part in (data.valid, data.audit)] == [40, 40]  # type: ignore[attr-defined]


def test_groups_go_with_the_rows_that_were_carved_off() -> None:
    groups = np.arange(400) // 4
    data = open_data(small(train=rows(400), valid=None, audit=None, origin=Origin(train_groups=groups)))
    assert data.split is not None
    assert data.audit_units is not None
    assert data.valid_units is not None
    assert np.array_equal(data.audit_units, groups[data.split.audit])
    assert np.array_equal(data.valid_units, groups[data.split.valid])


# devices ----------------------------------------------------------------------------------------------------------------------------


def test_cuda_generators_are_seeded_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    generators = [torch.Generator(), torch.Generator()]
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "default_generators", generators)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: [generator.get_state() for generator in generators])
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: [generator.manual_seed(seed) for generator in generators])

    def put_back(states: list[Tensor]) -> None:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)

    monkeypatch.setattr(torch.cuda, "set_rng_state_all", put_back)
    before = generators[0].initial_seed()
    reseeder(torch.device("cuda", 1))(7)
    assert generators[1].initial_seed() == 7
    assert generators[0].initial_seed() == before
    with seeded(9):
        assert [generator.initial_seed() for generator in generators] == [9, 9]
    assert generators[1].initial_seed() == 7


def test_states_are_loaded_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run.create("states", tmp_path / "run")
    run.save_state("one", 3, {"weight": torch.ones(2)})
    where = {}
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *given, **named: where.update(named) or load(*given, **named))
    assert torch.equal(run.load_state("one", 3)["weight"], torch.ones(2))
    assert where["map_location"] == "cpu"
    run.release()
