"""Every field of a Problem does what it says: the same weights, bit for bit, as the training written out by hand."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics
from exporting import Checker
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

import fallline
from fallline._batches import INIT, STEP, stream
from fallline._constraints import Constraints
from fallline._data import default_epochs
from fallline._errors import RefusedError, UsageError
from fallline._loop import LoopTraining
from fallline._plan import Plan
from fallline._planning import make_plan
from fallline._recipe import OWN, Part, Recipe
from fallline._setting import Setting, prepare
from fallline._step import Training, start

CPU = torch.device("cpu")


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=generator)
    return x, x[:, :1] - x[:, 1:2] ** 2 + 0.3 * torch.randn(count, 1, generator=generator)


TRAIN, VALID, AUDIT = rows(320, 1), rows(260, 2), rows(260, 3)


def classes(split: tuple[Tensor, Tensor], count: int = 3) -> tuple[Tensor, Tensor]:
    """The same inputs with a class each: how many of the first two numbers are positive."""
    x = split[0]
    return x, (x[:, : count - 1] > 0).sum(dim=1)


def net(outputs: int = 1, dropout: float = 0.1) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, outputs))


def hollow() -> nn.Module:
    """Layers of shapes alone."""
    with torch.device("meta"):
        return nn.Linear(5, 1)


def problem(**given: Any) -> fallline.Problem:
    """Ten batches an epoch, three epochs."""
    usual = {"model": net, "train": TRAIN, "valid": VALID, "audit": AUDIT, "metric": "mae", "batch_size": 32, "epochs": 3}
    return fallline.Problem(**{**usual, **given})


def of_classes(**given: Any) -> fallline.Problem:
    splits = {"train": classes(TRAIN), "valid": classes(VALID), "audit": classes(AUDIT)}
    return problem(**{"model": lambda: net(3), "metric": "accuracy", **splits, **given})


def planned(made: fallline.Problem, price: float = 2, **constraints: Any) -> tuple[Setting, Plan]:
    setting = prepare(made)
    return setting, make_plan(setting, price=price, constraints=Constraints.of(constraints))


def trained(made: fallline.Problem, recipe: Recipe | None = None) -> Training:
    """The baseline, or another recipe, trained to its end."""
    setting, plan = planned(made)
    training = start(setting.bench(plan), replace(plan.baseline, **({} if recipe is None else vars(recipe))))
    training.advance(training.recipe.end)
    return training


def same(a: nn.Module, b: nn.Module) -> bool:
    mine, theirs = a.state_dict(), b.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


def by_hand(
    made: fallline.Problem,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = functional.mse_loss,
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    each: str = "epoch",
    clip: Callable[[Any], Any] | None = None,
    epochs: int = 3,
) -> nn.Module:
    """The training a user would write, over the same batches and the same random draws."""
    setting = prepare(made)
    batches = setting.data.batches(0, CPU)
    model = made.new_model(0)
    opt = optimizer(model)
    sched = None if scheduler is None else scheduler(opt)
    for epoch in range(epochs):
        for k in range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch):
            x, y = batches(k)
            torch.manual_seed(stream(0, STEP, k))
            opt.zero_grad()
            loss(model(x), y).backward()
            if clip is not None:
                clip(list(model.parameters()))
            opt.step()
            if sched is not None and each == "batch":
                sched.step()
        if sched is not None and each == "epoch":
            if isinstance(sched, lr_scheduler.ReduceLROnPlateau):
                model.eval()
                with torch.no_grad():
                    value = float((model(made.valid[0]).double() - made.valid[1].double()).abs().mean())
                model.train()
                sched.step(value)
            else:
                sched.step()
    return model


# model -------------------------------------------------------------------------------------------------------------------------------


def test_a_factory_gives_every_trial_of_a_seed_the_same_weights_and_leaves_the_generator_alone() -> None:
    made = problem()
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    first, again, other = made.new_model(0), made.new_model(0), made.new_model(1)
    assert torch.equal(torch.rand(1), expected)
    assert same(first, again)
    assert not same(first, other)
    torch.manual_seed(stream(0, INIT))
    assert same(first, net())


def test_a_module_starts_from_its_weights_at_every_seed_and_is_not_touched() -> None:
    module = net()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    made = problem(model=module)
    assert same(made.new_model(0), module)
    assert same(made.new_model(1), module)
    assert not same(trained(made).final(), module)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_frozen_parameters_stay_frozen_in_baseline_and_candidates(tmp_path: Path) -> None:
    module = net()
    module[0].requires_grad_(False)
    frozen = module[0].weight.clone()
    verdict = fallline.choose(problem(model=module), price=2, out=tmp_path / "run")
    assert verdict.baseline_model is not None
    for model in (verdict.model, verdict.baseline_model):
        assert torch.equal(model[0].weight, frozen)  # type: ignore[index]  # a Sequential
        assert not model[0].weight.requires_grad  # type: ignore[index]
        assert not torch.equal(model[4].weight, module[4].weight)  # type: ignore[index]


def test_a_model_by_name_is_imported_when_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import torch\nclass Net(torch.nn.Linear):\n    def __init__(self, width, extra=0):\n        super().__init__(width + extra, 1)\n"
    )
    (tmp_path / "my_models_by_name.py").write_text(code + "ready = Net(5)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    named = problem(model=("my_models_by_name:Net", {"width": 3, "extra": 2}))
    assert same(named.new_model(0), problem(model=lambda: nn.Linear(5, 1)).new_model(0))
    assert same(problem(model="my_models_by_name:ready").new_model(0), problem(model="my_models_by_name:ready").new_model(1))
    assert same(trained(problem(model="my_models_by_name:ready")).final(), trained(problem(model="my_models_by_name:ready")).final())


def test_a_module_left_in_eval_mode_is_trained_and_a_part_left_in_it_stays() -> None:
    assert problem(model=net().eval()).new_model(0)[3].training  # type: ignore[index]
    module = net()
    module[1].eval()  # a frozen batch norm
    training = trained(problem(model=module))
    assert not training.model[1].training  # type: ignore[index]
    assert training.model[3].training  # type: ignore[index]
    assert torch.equal(training.final()[1].running_mean, module[1].running_mean)  # type: ignore[index]


def test_lazy_layers_are_made_from_the_seed(tmp_path: Path) -> None:
    def lazy() -> nn.Module:
        return nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(1))

    assert same(trained(problem(model=lazy)).final(), trained(problem(model=lazy)).final())
    verdict = fallline.choose(problem(model=lazy), price=2, out=tmp_path / "run")
    assert same(fallline.train(problem(model=lazy), verdict.recipe).network, verdict.model)


class Tied(nn.Module):
    """Two layers that share one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.there, self.back, self.out = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 1)
        self.back.weight = self.there.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.back(self.there(x).relu()).relu())  # type: ignore[no-any-return]


def test_tied_weights_stay_tied_and_are_saved(tmp_path: Path) -> None:
    verdict = fallline.choose(problem(model=Tied), price=2, out=tmp_path / "run")
    assert verdict.model.back.weight is verdict.model.there.weight
    read = Tied()
    load_model(read, str(tmp_path / "run" / "model.safetensors"))
    assert same(read, verdict.model)


@pytest.mark.parametrize("momentum", [0.1, 0.9, None])
def test_batch_norm_keeps_its_statistics_with_its_own_momentum(momentum: float | None) -> None:
    def normed() -> nn.Module:
        return nn.Sequential(nn.BatchNorm1d(5, momentum=momentum), nn.Linear(5, 1))

    made = problem(model=normed, loss=functional.mse_loss, optimizer=sgd)
    assert same(trained(made).final(), by_hand(made, sgd))


# data --------------------------------------------------------------------------------------------------------------------------------


class Rows(Dataset[Any]):
    """Examples one by one; with `noise`, moved by a draw from that generator."""

    def __init__(self, split: tuple[Tensor, Tensor], noise: str = "none") -> None:
        self.x, self.y = split
        self.draw = {
            "none": lambda: 0.0,
            "torch": lambda: float(torch.randn(())),
            "numpy": lambda: float(np.random.standard_normal()),
            "random": lambda: random.gauss(0, 1),
        }[noise]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index] + 0.1 * self.draw(), self.y[index]


def as_numpy(split: tuple[Tensor, Tensor]) -> tuple[Any, Any]:
    return split[0].double().numpy(), split[1].double().numpy()


FORMS: dict[str, Callable[[tuple[Tensor, Tensor]], Any]] = {
    "arrays of float64": as_numpy,
    "a list": list,
    "TensorDataset": lambda split: TensorDataset(*split),
    "Dataset": Rows,
    "examples in a list": lambda split: list(zip(*split, strict=True)),
    "DataLoader of tensors": lambda split: DataLoader(TensorDataset(*split), batch_size=32, shuffle=True, drop_last=True),
    "DataLoader of a Dataset": lambda split: DataLoader(Rows(split), batch_size=32, shuffle=True),
    "DataLoader with two workers": lambda split: DataLoader(Rows(split), batch_size=32, shuffle=True, num_workers=2),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_data_gives_the_same_weights(form: str) -> None:
    given = {name: FORMS[form](split) for name, split in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    expected = trained(problem())
    found = trained(problem(**given))
    assert same(found.final(), expected.final())
    assert [look.value for look in found.looks] == [look.value for look in expected.looks]


@pytest.mark.parametrize("noise", ["torch", "numpy", "random"])
def test_what_a_dataset_draws_depends_on_the_seed_and_the_step_alone(noise: str) -> None:
    made = problem(train=Rows(TRAIN, noise))
    setting, plan = planned(made)
    whole, broken = (start(setting.bench(plan), plan.baseline) for _ in range(2))
    whole.advance(30)
    for pause in (7, 10, 23):
        broken.advance(pause)
        state = broken.state()
        for draw in (lambda: torch.rand(3), lambda: np.random.standard_normal(5), random.random):
            draw()
        broken = start(setting.bench(plan), plan.baseline)
        broken.restore(state)
    broken.advance(30)
    assert same(whole.final(), broken.final())
    assert not same(whole.final(), trained(problem()).final())
    if noise == "torch":
        ahead = problem(train=DataLoader(Rows(TRAIN, noise), batch_size=32, shuffle=True, num_workers=2))
        assert same(whole.final(), trained(ahead).final())


def test_a_dataset_that_is_split_keeps_its_workers_and_its_collate_function() -> None:
    def doubled(examples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        return 2 * torch.stack([x for x, _ in examples]), torch.stack([y for _, y in examples])

    loader = DataLoader(Rows(TRAIN), batch_size=32, shuffle=True, collate_fn=doubled, num_workers=2)
    data = prepare(problem(train=loader, valid=None, audit=None)).data
    assert data.train.workers == 2  # type: ignore[attr-defined]
    x, _ = data.batches(0, CPU)(0)
    assert torch.equal(x, 2 * TRAIN[0][torch.stack([(TRAIN[0] == row / 2).all(1) for row in x]).int().argmax(1)])


def test_a_dataloader_keeps_its_batch_size_its_incomplete_last_batch_and_its_order() -> None:
    loader = DataLoader(TensorDataset(*TRAIN), batch_size=100, shuffle=False)
    data = prepare(problem(train=loader, batch_size=None)).data
    batches = data.batches(0, CPU)
    assert batches.per_epoch == 4
    assert [len(batches(k)[0]) for k in range(4)] == [100, 100, 100, 20]
    assert torch.equal(batches(4)[0], TRAIN[0][:100])
    dropping = DataLoader(TensorDataset(*TRAIN), batch_size=100, drop_last=True)
    assert prepare(problem(train=dropping, batch_size=None)).data.batches(0, CPU).per_epoch == 3


def weighted(**given: Any) -> DataLoader[Any]:
    weights = (TRAIN[0][:, 0] > 0).double()  # half of the rows never come
    return DataLoader(TensorDataset(*TRAIN), batch_size=32, sampler=WeightedRandomSampler(weights, 320, **given))


@pytest.mark.parametrize("generator", [None, 5])
def test_a_custom_sampler_is_kept_and_said_and_repeats_itself(generator: int | None) -> None:
    given = {} if generator is None else {"generator": torch.Generator().manual_seed(generator)}
    setting = prepare(problem(train=weighted(**given)))
    assert any("WeightedRandomSampler is kept" in note for note in setting.notes)
    first, second = setting.data.batches(0, CPU), setting.data.batches(0, CPU)
    first(25)  # another epoch is read in between
    for k in (0, 9, 10, 3):
        assert torch.equal(first(k)[0], second(k)[0])
        assert bool((first(k)[0][:, 0] > 0).all())
    assert not torch.equal(first(0)[0], first(10)[0])


def test_a_custom_sampler_cannot_be_split() -> None:
    with pytest.raises(UsageError, match="sampler cannot be split; give valid and audit"):
        prepare(problem(train=weighted(), audit=None))


def test_without_shuffle_every_epoch_reads_the_rows_in_order() -> None:
    batches = prepare(problem(shuffle=False)).data.batches(7, CPU)
    for k in (0, 3, 10, 13):
        start_row = 32 * (k % 10)
        assert torch.equal(batches(k)[0], TRAIN[0][start_row : start_row + 32])
    shuffled = prepare(problem()).data.batches(7, CPU)
    assert not torch.equal(shuffled(0)[0], shuffled(10)[0])
    assert torch.equal(torch.cat([shuffled(k)[0] for k in range(10)]).sort(0).values, TRAIN[0].sort(0).values)


class Two(nn.Module):
    """A model with two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(2, 1), nn.Linear(3, 1)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.left(left) * self.right(right)  # type: ignore[no-any-return]


INPUTS: dict[str, tuple[Callable[[Tensor, Tensor], Any], Any]] = {
    "a tuple": (lambda x, y: ((x[:, :2], x[:, 2:]), y), None),
    "a dict": (lambda x, y: ({"right": x[:, 2:], "left": x[:, :2]}, y), None),
    "a tuple by unpack": (lambda x, y: (x[:, :2], x[:, 2:], y), lambda batch: ((batch[0], batch[1]), batch[2])),
    "a dict by unpack": (
        lambda x, y: {"a": x[:, :2], "b": x[:, 2:], "y": y},
        lambda batch: ({"left": batch["a"], "right": batch["b"]}, batch["y"]),
    ),
    "one tensor by unpack": (lambda x, y: {"x": x, "y": y}, lambda batch: ((batch["x"][:, :2], batch["x"][:, 2:]), batch["y"])),
}


@pytest.mark.parametrize("form", INPUTS)
def test_inputs_are_a_tensor_a_tuple_or_a_dict_and_unpack_makes_them(form: str) -> None:
    shape, unpack = INPUTS[form]
    given = {name: shape(*split) for name, split in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    plain = {name: ((x[:, :2], x[:, 2:]), y) for name, (x, y) in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    found, expected = trained(problem(model=Two, unpack=unpack, **given)), trained(problem(model=Two, **plain))
    assert same(found.final(), expected.final())
    assert found.measure() == expected.measure()


# length, precision, accumulate -------------------------------------------------------------------------------------------------------


def test_epochs_set_the_length_and_may_be_a_part_of_one() -> None:
    assert planned(problem(epochs=4))[1].length == 40
    assert planned(problem(epochs=0.5))[1].length == 5
    assert planned(problem(epochs=4, accumulate=2))[1].length == 20
    assert planned(problem(epochs=4, batch_size=64))[1].length == 20
    assert planned(problem(epochs=None))[1].length == 10 * default_epochs(320, 32, "mlp")


def test_precision_64_trains_and_judges_in_float64() -> None:
    made = problem(precision="64", loss=functional.mse_loss, optimizer=sgd)
    training = trained(made)
    assert {parameter.dtype for parameter in training.model.parameters()} == {torch.float64}
    assert same(training.final(), by_hand(made, sgd))
    outputs, _ = training.bench.outputs(training.model, "valid")
    assert outputs.dtype == torch.float64


def test_bf16_keeps_float32_weights_and_comes_near_float32() -> None:
    short, full = trained(problem(precision="bf16")), trained(problem())
    assert {parameter.dtype for parameter in short.model.parameters()} == {torch.float32}
    assert not same(short.final(), full.final())
    assert short.measure() == pytest.approx(full.measure(), rel=0.05)


def test_precision_16_needs_cuda() -> None:
    with pytest.raises(UsageError, match="needs a CUDA device"):
        prepare(problem(precision=16), device="cpu")


def test_accumulated_batches_make_the_step_of_one_larger_batch() -> None:
    common = {"model": lambda: nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)), "precision": "64", "optimizer": sgd}
    whole, parts = trained(problem(batch_size=64, **common)), trained(problem(batch_size=16, accumulate=4, **common))
    assert whole.step == parts.step == 15
    for mine, theirs in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


# what a target may be ----------------------------------------------------------------------------------------------------------------


def test_ignored_positions_count_neither_in_the_loss_nor_in_the_metric(tmp_path: Path) -> None:
    def marked(split: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = classes(split)
        return x, torch.where(torch.arange(len(y)) % 4 == 0, -1, y)

    splits = {"train": marked(TRAIN), "valid": marked(VALID), "audit": marked(AUDIT)}
    made = of_classes(ignore_index=-1, **splits)
    verdict = fallline.choose(made, price=2, out=tmp_path / "run")
    assert verdict.recipe.loss.settings["ignore_index"] == -1
    x, y = marked(AUDIT)
    verdict.model.eval()
    with torch.no_grad():
        right = verdict.model(x).argmax(1) == y
    assert verdict.comparison.mine == pytest.approx(float(right[y != -1].double().mean()))


def test_ignored_positions_of_a_sequence() -> None:
    generator = torch.Generator().manual_seed(4)
    tokens = torch.randint(0, 7, (300, 6), generator=generator)
    target = tokens.roll(1, dims=1)
    target[:, 0] = -100

    class Copy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.read, self.out = nn.Embedding(7, 8), nn.GRU(8, 16, batch_first=True), nn.Linear(16, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(self.read(self.embed(x))[0]).transpose(1, 2)  # type: ignore[no-any-return]

    given = (tokens, target)
    made = problem(model=Copy, train=given, valid=given, audit=given, metric="accuracy", ignore_index=-100, epochs=12, optimizer=None)
    training = trained(made, replace(planned(made)[1].baseline, optimizer=Part("adamw", {"lr": 0.02})))
    assert training.bench.judge.task == "sequence"
    with torch.no_grad():
        right = (training.final().eval()(tokens).argmax(1) == target)[:, 1:]
    assert training.measure() == pytest.approx(float(right.double().mean()))
    assert training.measure() > 0.9


def test_the_positive_class_may_be_either(tmp_path: Path) -> None:
    def rare(split: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return split[0], (split[0][:, :1] > 0.8).float()

    def judged(positive: int | None, metric: str) -> tuple[float, Training]:
        given = {name: rare(split) for name, split in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
        training = trained(problem(metric=metric, positive=positive, **given))
        return training.measure(), training

    one, training = judged(1, "f1")
    zero, same_training = judged(0, "f1")
    assert judged(None, "f1")[0] == one != zero
    assert same(training.final(), same_training.final()), "training knows no positive class"
    outputs, target = training.bench.outputs(training.model, "valid")
    said, true = outputs <= 0, target == 0
    both = float((said & true).sum())
    assert zero == pytest.approx(2 * both / (2 * both + float((said ^ true).sum())), abs=0.02)
    assert judged(0, "auroc")[0] == pytest.approx(judged(1, "auroc")[0]), "which is alike from both sides"


@pytest.mark.parametrize("target", [torch.long, torch.bool, torch.float64])
def test_yes_and_no_may_come_as_any_kind_of_number(target: torch.dtype) -> None:
    def halves(split: tuple[Tensor, Tensor], kind: torch.dtype) -> tuple[Tensor, Tensor]:
        return split[0], (split[0][:, :1] > 0).to(kind)

    def under(kind: torch.dtype) -> Training:
        given = {name: halves(split, kind) for name, split in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
        return trained(problem(metric="auroc", **given))

    found, expected = under(target), under(torch.float32)
    assert found.recipe.loss.name == "bce_with_logits"
    assert same(found.final(), expected.final())
    assert found.measure() == expected.measure() > 0.8


# the user's own set-up ---------------------------------------------------------------------------------------------------------------


def cubed(output: Tensor, target: Tensor) -> Tensor:
    return (output - target).abs().pow(3).mean()


def test_a_loss_of_ones_own_is_the_baselines_and_every_candidates() -> None:
    _, plan = planned(problem(loss=cubed), price=8)
    assert plan.baseline.loss == Part(OWN)
    assert {candidate.recipe.loss for candidate in plan.candidates} == {Part(OWN)}
    _, plan = planned(problem(loss=cubed), price=8, loss="huber")
    assert plan.baseline.loss == Part(OWN)
    assert {candidate.recipe.loss.name for candidate in plan.candidates} == {"huber"}


@pytest.mark.parametrize("loss", [nn.MSELoss(), functional.mse_loss, nn.SmoothL1Loss(beta=3)], ids=["object", "function", "settings"])
def test_a_loss_of_torchs_is_the_baselines_and_the_catalogue_is_raced(loss: Any) -> None:
    _, plan = planned(problem(loss=loss), price=8)
    assert plan.baseline.loss == Part(OWN)
    raced = {candidate.recipe.loss.name for candidate in plan.candidates}
    assert OWN not in raced
    assert len(raced) > 1


def test_named_losses_are_raced_beside_an_own_one(tmp_path: Path) -> None:
    verdict = fallline.choose(problem(loss=cubed), price=3.5, losses=["l1", "mse"], out=tmp_path / "run")
    raced = {row["recipe"]["loss"]["name"] for row in verdict.document["candidates"]}
    assert raced == {OWN, "l1", "mse"}


def test_the_whole_set_up_trains_as_its_user_would() -> None:
    def clip(parameters: Any) -> None:
        nn.utils.clip_grad_value_(list(parameters), 0.05)

    def decayed(optimizer: torch.optim.Optimizer) -> Any:
        return lr_scheduler.ExponentialLR(optimizer, 0.5)

    made = problem(loss=cubed, optimizer=sgd, scheduler=decayed, clip=clip)
    assert same(trained(made).final(), by_hand(made, sgd, loss=cubed, scheduler=decayed, clip=clip))
    without = problem(loss=cubed, optimizer=sgd)
    assert not same(trained(without).final(), trained(made).final())


def test_a_number_clips_the_global_norm() -> None:
    def clip(parameters: Any) -> None:
        nn.utils.clip_grad_norm_(parameters, 0.1)

    made = problem(loss=functional.mse_loss, optimizer=sgd, clip=0.1)
    assert same(trained(made).final(), by_hand(made, sgd, clip=clip))


OWN_SCHEDULERS: dict[str, tuple[Callable[[torch.optim.Optimizer], Any], str]] = {
    "StepLR each epoch": (lambda o: lr_scheduler.StepLR(o, 1, 0.3), "epoch"),
    "StepLR each batch": (lambda o: lr_scheduler.StepLR(o, 4, 0.3), "batch"),
    "OneCycleLR": (lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=30), "batch"),
    "warm-up, then cosine": (
        lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o, 0.1, 1, 5), lr_scheduler.CosineAnnealingLR(o, 25)], [5]),
        "batch",
    ),
    "ReduceLROnPlateau": (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.1, patience=0, threshold=0.3), "epoch"),
}


@pytest.mark.parametrize("name", OWN_SCHEDULERS)
def test_an_own_scheduler_steps_as_its_user_would_step_it(name: str) -> None:
    scheduler, each = OWN_SCHEDULERS[name]
    made = problem(loss=functional.mse_loss, optimizer=sgd, scheduler=scheduler, scheduler_step=each)
    training = trained(made)
    assert training.optimizer.param_groups[0]["lr"] != 0.02
    assert same(training.final(), by_hand(made, sgd, scheduler=scheduler, each=each))


@pytest.mark.parametrize("name", OWN_SCHEDULERS)
def test_objects_train_as_factories_do(name: str) -> None:
    scheduler, each = OWN_SCHEDULERS[name]
    module = problem().new_model(0)
    optimizer = sgd(module)
    objects = problem(model=module, loss=functional.mse_loss, optimizer=optimizer, scheduler=scheduler(optimizer), scheduler_step=each)
    factories = problem(loss=functional.mse_loss, optimizer=sgd, scheduler=scheduler, scheduler_step=each)
    assert same(trained(objects).final(), trained(factories).final())
    assert optimizer.param_groups[0]["params"][0] is module[0].weight, "the user's objects are left as they are"
    assert not optimizer.state


def test_an_optimizer_object_keeps_its_groups_and_options_and_starts_without_state() -> None:
    module = net()
    optimizer = torch.optim.Adam(
        [{"params": module[0].parameters(), "lr": 1e-4}, {"params": module[4].parameters()}], lr=0.01, betas=(0.8, 0.9)
    )
    module(TRAIN[0]).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    training = start(*_bench_and_baseline(problem(model=module, optimizer=optimizer)))
    assert [group["lr"] for group in training.optimizer.param_groups] == [1e-4, 0.01]
    assert [group["betas"] for group in training.optimizer.param_groups] == [(0.8, 0.9)] * 2
    assert not training.optimizer.state
    before = training.model[1].weight.clone()  # type: ignore[index]
    training.advance(5)
    assert torch.equal(training.model[1].weight, before), "the batch norm is in no group, so it is not trained"  # type: ignore[index]


def _bench_and_baseline(made: fallline.Problem) -> tuple[Any, Recipe]:
    setting, plan = planned(made)
    return setting.bench(plan), plan.baseline


def test_a_plateau_scheduler_reads_a_rising_metric_the_right_way_round() -> None:
    def plateau(mode: str) -> Callable[[torch.optim.Optimizer], Any]:
        return lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=0, threshold=0.0)

    found = {mode: trained(of_classes(optimizer=sgd, scheduler=plateau(mode), epochs=8)) for mode in ("min", "max")}
    values = [look.value for look in found["max"].looks]
    assert values[-1] > values[0], "accuracy rose"
    assert found["min"].optimizer.param_groups[0]["lr"] == found["max"].optimizer.param_groups[0]["lr"] > 0.02 * 0.5**4


def test_patience_ends_the_baseline_and_hands_back_its_best_weights() -> None:
    made = problem(patience=2, epochs=60, optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.95))
    training = trained(made)
    assert training.stopped_at is not None
    assert training.stopped_at < 600
    assert training.stopped_at % 10 == 0, "patience counts epochs"
    values = [look.value for look in training.looks]
    assert values.index(min(values)) == len(values) - 3
    assert training.bench.look(training.final(), training.recipe) == min(values)


# the user's own loop -----------------------------------------------------------------------------------------------------------------


def one_epoch(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
    for x, y in loader:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def test_the_plain_loop_gives_the_weights_of_no_loop() -> None:
    for given in ({}, {"scheduler": lambda o: lr_scheduler.StepLR(o, 1, 0.3)}, {"train": Rows(TRAIN, "torch")}):
        common = {"loss": functional.mse_loss, "optimizer": sgd, **given}
        bench, baseline = _bench_and_baseline(problem(loop=one_epoch, **common))
        looped = LoopTraining.start(bench, baseline)
        looped.advance(30)
        assert looped.step == 30
        assert same(looped.final(), trained(problem(**common)).final())


@pytest.mark.parametrize("optimizer", ["adamw", "nesterov"])
def test_a_candidate_in_the_plain_loop_gives_the_weights_of_no_loop(optimizer: str) -> None:
    bench, baseline = _bench_and_baseline(problem(loop=one_epoch))
    made = replace(baseline, loss=Part("huber", {"delta": 0.5}), optimizer=Part(optimizer, {"lr": 0.02}), schedule=Part("one_cycle"))
    looped = LoopTraining.start(bench, made)
    looped.advance(30)
    assert same(looped.final(), trained(problem(), made).final())


def test_a_loop_that_steps_its_scheduler_is_not_stepped_again() -> None:
    def stepping(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
        for x, y in loader:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
            scheduler.step()

    common = {"loss": functional.mse_loss, "optimizer": sgd, "scheduler": lambda o: lr_scheduler.StepLR(o, 4, 0.3)}
    bench, baseline = _bench_and_baseline(problem(loop=stepping, **common))
    looped = LoopTraining.start(bench, baseline)
    looped.advance(30)
    assert same(looped.final(), trained(problem(scheduler_step="batch", **common)).final())
    candidate = replace(baseline, optimizer=Part("adamw"), schedule=Part("cosine"))
    other = LoopTraining.start(bench, candidate)
    other.advance(30)
    assert same(other.final(), trained(problem(**common), candidate).final()), "a candidate keeps its own curve whatever the loop does"


def test_a_loop_is_given_the_raw_batches_and_a_loss_that_takes_them_as_no_loop_would() -> None:
    seen: list[Any] = []

    def reading(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
        assert len(loader) == 10
        for batch in loader:
            seen.append(batch)
            optimizer.zero_grad()
            loss(model(batch["x"]), batch["y"]).backward()
            optimizer.step()

    given = {name: {"x": x, "y": (x[:, :1] > 0).long()} for name, (x, _) in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    made = problem(loop=reading, unpack=lambda batch: (batch["x"], batch["y"]), metric="log_loss", **given)
    bench, baseline = _bench_and_baseline(made)
    looped = LoopTraining.start(bench, baseline)
    looped.advance(10)
    assert looped.recipe.loss.name == "bce_with_logits", "a loss that wants floats is given whole numbers by the loop"
    assert len(seen) == 10
    assert looped.looks[-1].value < math.log(2) * 1.2


def test_a_race_in_a_loop_ranks_what_the_loop_does_and_says_nothing_else(tmp_path: Path) -> None:
    verdict = fallline.choose(problem(loop=one_epoch, optimizer=sgd), price=8, out=tmp_path / "run")
    for candidate in verdict.document["candidates"]:
        assert candidate["recipe"]["clip"]["name"] == "none", candidate["name"]
        assert "average" not in candidate["recipe"], candidate["name"]
        assert candidate["stopped_at"] % 10 == 0, "whole epochs"
    assert any("whole epochs" in note for note in verdict.document["plan"]["notes"])
    again = fallline.train(problem(loop=one_epoch, optimizer=sgd), verdict.recipe)
    assert same(again.network, verdict.model)


def test_a_loop_that_makes_no_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"no optimizer step.*optimizer.step\(\)"):
        fallline.choose(problem(loop=lambda model, loss, optimizer, scheduler, loader: None), price=1, out=tmp_path / "run")


def test_where_no_candidate_can_be_trained_the_baseline_is_trained_to_its_end(tmp_path: Path) -> None:
    def picky(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
        if not isinstance(optimizer, torch.optim.SGD):
            raise ValueError("this loop knows SGD only")
        one_epoch(model, loss, optimizer, scheduler, loader)

    made = problem(loop=picky, optimizer=sgd)
    verdict = fallline.choose(made, price=1, out=tmp_path / "run", optimizer="adamw")
    assert verdict.recipe.optimizer == Part(OWN)
    assert any("this loop knows SGD only" in reason for reason in verdict.document["reasons"])
    assert same(fallline.train(made, verdict.recipe).network, verdict.model)


# metric ------------------------------------------------------------------------------------------------------------------------------


def test_a_name_a_torchmetrics_object_and_a_callable_agree() -> None:
    def own(output: Tensor, target: Tensor) -> float:
        return float((output - target).abs().mean())

    values = []
    for given in ({"metric": "mae"}, {"metric": torchmetrics.MeanAbsoluteError()}, {"metric": own, "direction": "min"}):
        training = trained(problem(**given))
        assert training.bench.judge.sign == 1
        values.append([look.value for look in training.looks])
    assert values[1] == pytest.approx(values[0], rel=1e-5)
    assert values[2] == pytest.approx(values[0], rel=1e-5)
    accuracy = torchmetrics.classification.MulticlassAccuracy(3, average="micro")
    named, theirs = trained(of_classes()), trained(of_classes(metric=accuracy))
    assert theirs.bench.judge.sign == -1
    assert theirs.measure() == pytest.approx(named.measure())


def test_an_own_metric_is_called_once_with_a_whole_split_on_the_cpu_in_eval_mode_without_gradients() -> None:
    calls: list[tuple[Tensor, Tensor, bool]] = []

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, x: Tensor) -> Tensor:
            modes.append(self.training)
            return self.inner(x)  # type: ignore[no-any-return]

    modes: list[bool] = []

    def own(output: Tensor, target: Tensor) -> float:
        calls.append((output, target, torch.is_grad_enabled()))
        return float((output - target).abs().median())

    training = start(*_bench_and_baseline(problem(model=Watched, metric=own, direction="min", valid=rows(5000, 9))))
    calls.clear()
    modes.clear()
    training.bench.outputs(training.model, "valid")
    assert modes == [False, False], "two forward passes of at most 4,096 examples, in eval mode"
    assert training.model.training
    training.measure()
    (output, target, _), *others = calls
    assert not others
    assert (len(output), output.device, output.requires_grad) == (len(target), CPU, False)


def test_an_own_metric_decides_and_gets_an_interval(tmp_path: Path) -> None:
    def within(output: Tensor, target: Tensor) -> float:
        return float(((output - target).abs() < 0.5).double().mean())

    verdict = fallline.choose(problem(metric=within, direction="max"), price=2, out=tmp_path / "run")
    x, y = AUDIT
    with torch.no_grad():
        values = [within(model.eval()(x), y) for model in (verdict.model, verdict.baseline_model)]  # type: ignore[union-attr]  # it finished
    mine, theirs = verdict.comparison.mine, verdict.comparison.theirs
    overruled = verdict.comparison.status == "worse"  # the comparison stays that of the winner on valid, the baseline is handed back
    assert values == pytest.approx([theirs if overruled else mine, theirs])
    low, high = verdict.interval
    assert low < verdict.difference < high


def test_a_column_against_a_row_is_judged_example_by_example() -> None:
    def squeezed(output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output.squeeze(1), target)

    flat = {name: (x, y.squeeze(1)) for name, (x, y) in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    found, expected = trained(problem(loss=squeezed, **flat)), trained(problem(loss=functional.mse_loss))
    assert same(found.final(), expected.final())
    assert found.measure() == expected.measure()


# what an exported script makes of them ------------------------------------------------------------------------------------------------

FILE = """
import torch
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import ReduceLROnPlateau
import fallline

def split(seed):
    x = torch.randn(320, 5, generator=torch.Generator().manual_seed(seed))
    return x, x[:, 0] - x[:, 1] ** 2

def net(outputs=1):
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, outputs))

def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

def problem(train=split(1), valid=split(2), audit=split(3)):
"""

FILES = {
    "a positive class of 0": """
    yes = [(x, (y > 0.8).long().unsqueeze(1)) for x, y in (train, valid, audit)]
    return fallline.Problem(model=net, train=yes[0], valid=yes[1], audit=yes[2], metric="f1", positive=0, epochs=2)
""",
    "a model left in eval mode": """
    column = [(x, y.unsqueeze(1)) for x, y in (train, valid, audit)]
    return fallline.Problem(model=lambda: net().eval(), train=column[0], valid=column[1], audit=column[2], metric="mae", epochs=2)
""",
    "a column against a row": """
    return fallline.Problem(model=net, train=train, valid=valid, audit=audit, metric="rmse", epochs=2,
        loss=lambda output, target: functional.l1_loss(output.squeeze(1), target), optimizer=sgd)
""",
    "a plateau that reads an accuracy": """
    classes = [(x, (y > 0).long() + (y > 1).long()) for x, y in (train, valid, audit)]
    return fallline.Problem(model=lambda: net(3), train=classes[0], valid=classes[1], audit=classes[2], metric="accuracy", epochs=6,
        optimizer=sgd, scheduler=lambda optimizer: ReduceLROnPlateau(optimizer, factor=0.1, patience=0))
""",
    "a loop that is given whole numbers": """
    def loop(model, loss, optimizer, scheduler, loader):
        for x, y in loader:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

    counts = [(x, (4 * y.abs()).long().unsqueeze(1)) for x, y in (train, valid, audit)]
    return fallline.Problem(model=net, train=counts[0], valid=counts[1], audit=counts[2], task="regression", metric="mae",
        epochs=2, loop=loop)
""",
}


@pytest.mark.parametrize("name", FILES)
def test_the_exported_script_follows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "setup.py"
    path.write_text(FILE + FILES[name], encoding="utf-8")
    Checker(tmp_path, monkeypatch, capsys)(fallline.open_problem(path), None)


# refusals ----------------------------------------------------------------------------------------------------------------------------


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(zip(*TRAIN, strict=True))


class Broken(Rows):
    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        raise KeyError("image_0.png")


def raising(*_: Any) -> Any:
    raise ZeroDivisionError("oh")


def lr_step(optimizer: torch.optim.Optimizer) -> Any:
    return lr_scheduler.StepLR(optimizer, 1)


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a model that is none": ({"model": 3}, ("model must be", "got int")),
    "a function that returns no module": ({"model": lambda: 3}, ("function that returns", "int")),
    "a class that needs arguments": ({"model": nn.Linear}, ("Linear()", "missing 2 required", "lambda: MyModel(10)")),
    "a model in a missing package": ({"model": "nowhere_at_all:Net"}, ("cannot import 'nowhere_at_all'",)),
    "a misspelt model": ({"model": "torch.nn:Linaer"}, ("torch.nn has no 'Linaer'", "Linear")),
    "a model without a colon": ({"model": "torch.nn.Linear"}, ('"package.module:name"',)),
    "wrong keywords of a model": ({"model": ("torch.nn:Linear", {"inputs": 5})}, ("Linear(inputs=5)", "unexpected keyword")),
    "no train": ({"train": None}, ("train is missing",)),
    "a path as train": ({"train": "rows.csv"}, ("got a path", "open_problem")),
    "words as train": ({"train": (TRAIN[0], np.array(["a"] * 320))}, ("must hold numbers", "<U1")),
    "rows that do not match": ({"train": (TRAIN[0], TRAIN[1][:300])}, ("same number of rows", "[300, 320]")),
    "no rows": ({"train": (TRAIN[0][:0], TRAIN[1][:0])}, ("train is empty",)),
    "an IterableDataset": ({"train": Stream()}, ("IterableDataset", "map-style")),
    "a DataLoader of one": ({"train": DataLoader(Stream(), batch_size=32)}, ("IterableDataset", "map-style")),
    "a Dataset that raises": ({"train": Broken(TRAIN)}, ("train raised KeyError", "image_0.png")),
    "inputs alone": ({"train": TRAIN[0]}, ("(inputs, target)", "unpack=")),
    "a dict without unpack": ({"train": {"x": TRAIN[0], "y": TRAIN[1]}}, ("a dict of x, y", "unpack=")),
    "an unpack that raises": ({"unpack": lambda batch: batch["x"]}, ("unpack raised TypeError", "a tuple of 2")),
    "an unpack that returns one": ({"unpack": lambda batch: batch[0]}, ("unpack must return (inputs, target)", "a Tensor")),
    "a target that is no tensor": ({"unpack": lambda batch: (batch[0], 3)}, ("target is a tensor",)),
    "one example to judge by": ({"valid": (VALID[0][:1], VALID[1][:1])}, ("valid has 1 example;",)),
    "a module on the meta device": ({"model": hollow}, ("weight of the model lies on the meta device", "to_empty")),
    "a module of shapes alone, given as it is": ({"model": hollow()}, ("weight of the model lies on the meta device",)),
    "tensors on the meta device": ({"train": (TRAIN[0].to("meta"), TRAIN[1])}, ("train lies on the meta device", "the CPU")),
    "a Dataset on the meta device": ({"valid": TensorDataset(*(x.to("meta") for x in VALID))}, ("valid lies on the meta device",)),
    "a batch larger than train": ({"batch_size": 321}, ("batch_size 321", "320 training examples", "at most 320")),
    "no batch size": ({"batch_size": 0}, ("batch_size must be a whole number", "got 0")),
    "half a batch": ({"batch_size": 0.5}, ("batch_size must be a whole number", "got 0.5")),
    "more batches a step than there are": ({"accumulate": 11}, ("accumulate 11", "320 training examples")),
    "no epochs": ({"epochs": 0}, ("epochs must be positive", "leave it out")),
    "an unknown precision": ({"precision": "float16"}, ("precision must be one of 32, 64, bf16, 16", "'float16'")),
    "an unknown task": ({"task": "regresion"}, ("task must be one of", "did you mean regression")),
    "an unknown metric": ({"metric": "rmsee"}, ("unknown metric 'rmsee'", "rmse")),
    "a metric of another task": ({"metric": "accuracy"}, ("the task here is regression", "Metrics that fit: mae", "task=")),
    "a metric without direction": ({"metric": cubed}, ("direction='min'",)),
    "a metric the wrong way round": ({"direction": "max"}, ("mae is better when min",)),
    "a metric that raises": ({"metric": raising, "direction": "min"}, ("the metric raising", "ZeroDivisionError: oh")),
    "a metric of many numbers": ({"metric": lambda o, t: o - t, "direction": "min"}, ("must return one number", "Tensor")),
    "a class as loss": ({"loss": nn.MSELoss}, ("got the class MSELoss", "write loss=MSELoss()")),
    "a number as loss": ({"loss": 3}, ("loss must be callable", "int")),
    "a loss that raises": ({"loss": raising}, ("the loss, given an output of shape (32, 1) (float32)", "ZeroDivisionError: oh")),
    "a loss that cannot take the targets": ({"loss": nn.NLLLoss()}, ("the loss, given an output of shape (32, 1)", "RuntimeError")),
    "a loss of many numbers": ({"loss": nn.MSELoss(reduction="none")}, ("one number", "(32, 1)", "reduction='mean'")),
    "a loss that is no tensor": ({"loss": lambda o, t: 1.0}, ("must return a tensor", "float")),
    "a loss without gradient": ({"loss": lambda o, t: (o.detach() - t).mean()}, ("go backward", "detach")),
    "an optimizer of another model": (
        {"model": net(), "optimizer": torch.optim.SGD(net().parameters(), lr=0.1)}, ("none of the model's parameters", "same module"),
    ),
    "an optimizer object for a factory": ({"optimizer": torch.optim.SGD(net().parameters(), lr=0.1)}, ("belongs to one model", "function")),
    "an optimizer class": ({"optimizer": torch.optim.SGD}, ("optimizer(model) raised TypeError",)),
    "an optimizer factory that raises": ({"optimizer": raising}, ("optimizer(model) raised ZeroDivisionError",)),
    "an optimizer factory without one": ({"optimizer": lambda model: 3}, ("must return a torch Optimizer, got int",)),
    "an optimizer that needs a closure": ({"optimizer": lambda m: torch.optim.LBFGS(m.parameters())}, ("LBFGS.step()", "loop of your own")),
    "a scheduler without optimizer": ({"scheduler": lr_step}, ("a scheduler needs the optimizer",)),
    "a scheduler factory that raises": ({"optimizer": sgd, "scheduler": raising}, ("scheduler(optimizer) raised ZeroDivisionError",)),
    "a scheduler factory without one": ({"optimizer": sgd, "scheduler": lambda o: 3}, ("must return a torch scheduler, got int",)),
    "a plateau read each batch": (
        {"optimizer": sgd, "scheduler": lr_scheduler.ReduceLROnPlateau, "scheduler_step": "batch"}, ("once an epoch", "scheduler_step"),
    ),
    "an unknown unit of the scheduler": ({"scheduler_step": "step"}, ("scheduler_step must be one of epoch, batch",)),
    "a positive class of a regression": ({"positive": 1}, ("positive names", "the task here is regression")),
    "no clip": ({"clip": 0}, ("clip must be a positive global norm", "got 0")),
    "a clip that raises": ({"clip": raising}, ("clip(parameters) raised ZeroDivisionError",)),
    "a loop of other arguments": ({"loop": lambda model, loader: None}, ("(model, loss, optimizer, scheduler, loader)",)),
    "no patience": ({"patience": 0}, ("patience must be a whole number of at least 1",)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused_with_what_to_do(case: str) -> None:
    given, words = REFUSED[case]
    with pytest.raises((UsageError, RefusedError)) as caught:
        prepare(problem(**given))
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_numbers_is_refused_with_exit_code_3() -> None:
    with pytest.raises(RefusedError, match="lies on the meta device") as caught:
        fallline.choose(problem(model=hollow))
    assert caught.value.exit_code == 3
    assert "lies on the meta device" in str(fallline.check(problem(model=hollow)))


def test_nothing_is_trained_on_the_meta_device() -> None:
    with pytest.raises(UsageError, match="device must be cpu, cuda or cuda:0, got 'meta'"):
        prepare(problem(), device="meta")


def test_a_field_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match=r"unknown field of Problem 'batchsize'; did you mean batch_size\?"):
        fallline.Problem(model=net, train=TRAIN, batchsize=32)  # type: ignore[call-arg]  # what is refused
    assert replace(problem(), batch_size=16).batch_size == 16
    assert copy.copy(problem()).batch_size == 32


def test_a_positive_class_that_is_neither_is_refused() -> None:
    given = {name: (x, (x[:, :1] > 0).float()) for name, (x, _) in (("train", TRAIN), ("valid", VALID), ("audit", AUDIT))}
    with pytest.raises(UsageError, match="positive must be 0 or 1, the two values of the target, got 'yes'"):
        prepare(problem(metric="f1", positive="yes", **given))


def test_batches_padded_to_different_lengths_are_refused() -> None:
    def padded(names: list[Tensor]) -> tuple[Tensor, Tensor]:
        letters = nn.utils.rnn.pad_sequence(names, batch_first=True)
        return letters, letters

    class Letters(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.embed(x).transpose(1, 2)  # type: ignore[no-any-return]

    names = [torch.ones(2 + row // 150, dtype=torch.long) for row in range(600)]
    loader = DataLoader(names, batch_size=32, collate_fn=padded)  # type: ignore[arg-type]  # a list is a Dataset
    with pytest.raises(RefusedError, match=r"shape \(N, 2\) in one batch and \(N, 3\) in another; pad all to one length"):
        prepare(problem(model=Letters, train=loader, valid=loader, audit=loader, metric="accuracy", ignore_index=0))


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    module = net()
    optimizer, other = sgd(module), sgd(module)
    with pytest.raises(UsageError, match="belongs to another optimizer"):
        prepare(problem(model=module, optimizer=optimizer, scheduler=lr_step(other)))
