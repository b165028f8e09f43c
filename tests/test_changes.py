"""Changes do what they say, one after another, on whatever form a set-up has, and leave the user's objects alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

import fallline
from fallline._batches import seeded
from fallline._parts import build_optimizer, build_scheduler
from fallline._recipe import OWN, Part, Recipe
from fallline.changes import Change, arguments, data, layers, loops, losses, optimizers, schedules
from fallline.rules._setups import classes, looped, network, numbers, rows
from fallline.signals import Window, calls, outputs, targets
from fallline.signals._drive import drive
from fallline.signals._setup import Setup

PARTS = Recipe(loss=Part(OWN), optimizer=Part(OWN), schedule=Part(OWN), clip=Part(OWN))


def built(problem: fallline.Problem) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    model = problem.new_model(0)
    optimizer = build_optimizer(PARTS, model, problem)
    return model, optimizer, None if problem.scheduler is None else build_scheduler(PARTS, optimizer, problem)


def driven(problem: fallline.Problem, updates: int = 15) -> dict[str, Tensor]:
    """The weights after an epoch in the loop that the problem names."""
    setup = Setup(problem, run_for=1000.0)
    made = setup.make()
    done = drive(setup, made, updates, 1000.0)
    assert not done.raised
    assert done.updates
    return made.model.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.allclose(value, other[name], rtol=1e-9, atol=1e-12) for name, value in one.items())


CHANGES = [
    optimizers.scaled_lr(0.1),
    optimizers.holding_all(),
    optimizers.over_the_model(),
    optimizers.plain_adam_options(),
    optimizers.decoupled_decay(),
    optimizers.adam(),
    optimizers.levelled_groups(),
    optimizers.descending(),
    optimizers.thawed(["0.weight"]),
    losses.negated(),
    losses.same_shape(),
    losses.averaged(),
    losses.plain("numbers"),
    layers.group_norms(),
    layers.drawn_anew(),
    layers.dropout_of(0.2),
    layers.norm_momentum(0.3),
    layers.registered(),
    layers.rejoined(),
    layers.rectified_between(["0"]),
    schedules.cosine(10),
    schedules.warm_up(10),
    schedules.without(),
    loops.emptying(),
    loops.averaging(2),
    loops.training_mode(),
    loops.evaluation_mode(),
    loops.plain(),
    data.shuffled(),
    data.filled(),
    data.standardised_targets(torch.zeros(1), torch.ones(1)),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.words)
@pytest.mark.parametrize("given", ["functions", "objects"])
def test_a_change_is_made_on_functions_and_on_objects_and_leaves_these_alone(change: Change, given: str) -> None:
    model = network()
    parts: dict[str, Any] = {}
    if given == "objects":
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        parts = {"model": model, "optimizer": optimizer, "scheduler": StepLR(optimizer, 3)}
    problem = numbers(**parts)
    before = copy.deepcopy(model.state_dict())
    changed = optimizers.scaled_lr(0.5).make(change.make(change.make(problem)))
    made, optimizer, _ = built(changed)
    inputs, target = rows(8, 1)
    changed.loss(made(inputs), target).backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert change.words
    assert change.source


def test_a_seed_gives_a_changed_model_the_weights_of_the_unchanged_one() -> None:
    problem = numbers()
    changed = layers.rectified_between(["0"]).make(problem)
    for seed in (0, 3):
        assert same(problem.new_model(seed).state_dict(), changed.new_model(seed).state_dict())


@pytest.mark.parametrize("named", [False, True], ids=["function", "name"])
def test_a_changed_model_starts_from_the_file_that_the_unchanged_one_starts_from(named: bool, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    with seeded(5):
        torch.save(network().state_dict(), file)
    factory = "fallline.rules._setups:network" if named else network
    problem = numbers(model={"factory": factory, "weights": file})
    changed = layers.rectified_between(["0"]).make(problem)
    assert same(changed.new_model(3).state_dict(), torch.load(file, weights_only=True))


@pytest.mark.parametrize("given", ["functions", "objects"])
def test_a_scaled_lr_is_scaled_in_optimizer_and_schedule(given: str) -> None:
    model = network()
    adam = torch.optim.Adam(model.parameters(), lr=1e-2)
    parts: dict[str, Any] = {"model": model, "optimizer": adam, "scheduler": CosineAnnealingLR(adam, 10)}
    if given == "functions":
        parts = {
            "optimizer": lambda model: torch.optim.Adam(model.parameters(), lr=1e-2),
            "scheduler": lambda optimizer: CosineAnnealingLR(optimizer, 10),
        }
    _, optimizer, scheduler = built(optimizers.scaled_lr(0.1).make(numbers(**parts)))
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)
    optimizer.step()
    for _ in range(5):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-4)


def test_the_peak_of_a_cycle_is_scaled_too() -> None:
    problem = numbers(scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=0.1, total_steps=10))
    _, optimizer, scheduler = built(optimizers.scaled_lr(0.1).make(problem))
    seen = []
    optimizer.step()
    for _ in range(9):
        scheduler.step()
        seen.append(optimizer.param_groups[0]["lr"])
    assert max(seen) == pytest.approx(0.01)


def test_a_schedule_gets_the_length_of_the_training() -> None:
    problem = numbers(scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=5))
    _, optimizer, scheduler = built(schedules.lasting(10).make(problem))
    optimizer.step()
    for _ in range(10):
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_missing_parameters_join_the_optimizer() -> None:
    problem = numbers(optimizer=lambda model: torch.optim.SGD(model[0].parameters(), lr=0.1, momentum=0.5))
    model, optimizer, _ = built(optimizers.holding_all(10.0).make(problem))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]
    assert optimizer.param_groups[1]["momentum"] == 0.5


def test_thawed_parameters_are_trainable_and_held() -> None:
    def frozen() -> nn.Module:
        model = network()
        model.requires_grad_(False)
        model[4].requires_grad_(True)  # type: ignore[index]  # a Sequential
        return model

    def optimizer(model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)

    problem = numbers(model=frozen, optimizer=optimizer)
    model, made, _ = built(optimizers.thawed(["0.weight", "0.bias"]).make(problem))
    assert model[0].weight.requires_grad  # type: ignore[index, union-attr]
    assert sum(len(group["params"]) for group in made.param_groups) == 4


@pytest.mark.parametrize("form", ["logits", "probabilities", "log-probabilities"])
def test_the_plain_loss_of_classes_is_torchs_whatever_form_the_output_has(form: str) -> None:
    logits, target = torch.randn(20, 4, dtype=torch.float64), torch.randint(4, (20,))
    output = {"logits": logits, "probabilities": logits.softmax(1), "log-probabilities": logits.log_softmax(1)}[form]
    assert torch.allclose(losses.plain_loss("classes", output, target), functional.cross_entropy(logits, target))
    shares = torch.randn(20, 4, dtype=torch.float64).softmax(1)
    assert torch.allclose(losses.plain_loss("shares", output, shares), functional.cross_entropy(logits, shares))


def test_the_plain_losses_of_yes_and_no_and_of_numbers_are_torchs() -> None:
    logits, target = torch.randn(20, 1, dtype=torch.float64), torch.randint(2, (20,)).double()
    wanted = functional.binary_cross_entropy_with_logits(logits[:, 0], target)
    assert torch.allclose(losses.plain_loss("yes or no", logits, target), wanted)
    assert torch.allclose(losses.plain_loss("yes or no", logits.sigmoid(), target), wanted)
    assert torch.allclose(losses.plain_loss("numbers", logits, target), functional.mse_loss(logits[:, 0], target))


def test_class_weights_are_torchs() -> None:
    logits, target = torch.randn(30, 3, dtype=torch.float64), torch.randint(3, (30,))
    weight = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    mine = losses.plain_loss("classes", logits, target, weight={0: 1.0, 1: 2.0, 2: 5.0})
    assert torch.allclose(mine, functional.cross_entropy(logits, target, weight=weight))


def test_the_logarithm_given_to_cross_entropy_undoes_a_softmax() -> None:
    problem = losses.logarithm("", "").make(classes())
    logits, target = torch.randn(20, 3, dtype=torch.float64, requires_grad=True), torch.randint(3, (20,))
    (mine,) = torch.autograd.grad(problem.loss(logits.softmax(1), target), logits)
    (wanted,) = torch.autograd.grad(functional.cross_entropy(logits, target), logits)
    assert torch.allclose(mine, wanted)


def test_what_kind_of_question_targets_ask_is_read_off_all_of_them() -> None:
    def kind(problem: fallline.Problem) -> str:
        window = Window(Setup(problem))
        return losses.kind_of(window.read(outputs.ENTRY), window.read(targets.ENTRY).train)

    x, y = rows(100, 1)
    labels = (y[:, 0] > 0).long()
    several = torch.stack([labels, 1 - labels, labels], dim=1).float()
    assert kind(classes()) == "classes"
    assert kind(numbers()) == "numbers"
    assert kind(classes(model=lambda: network(1), loss=None, train=(x, labels.float()[:, None]))) == "yes or no"
    assert kind(classes(loss=None, train=(x, functional.one_hot(labels, 3).float()))) == "shares"
    assert kind(classes(loss=None, train=(x, several))) == "yes or no"


class Squashed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.squash, self.last = nn.Linear(6, 8), nn.Softmax(dim=1), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.squash(self.first(x)) + torch.softmax(self.first(x), 1) + torch.tanh(self.first(x)))  # type: ignore[no-any-return]


def test_calls_are_exchanged_in_modules_and_by_name_and_copies_keep_it() -> None:
    problem = numbers(model=Squashed)
    found = Window(Setup(problem)).read(calls.ENTRY).named("softmax")
    assert len(found) == 2
    model = layers.rectified_instead(found).make(problem).new_model(0)
    x = torch.randn(4, 6)
    hidden = model.first(x)  # type: ignore[operator]  # a layer
    wanted = model.last(2 * hidden.relu() + hidden.tanh())  # type: ignore[operator]
    assert isinstance(model, Squashed)
    for each in (model, copy.deepcopy(model)):
        assert torch.allclose(each(x), wanted)
    assert not torch.allclose(problem.new_model(0)(x), wanted)


def test_inputs_are_standardised_on_their_way_in_with_the_statistics_of_train() -> None:
    x, y = rows(200, 1)
    problem = numbers(train=(x * 1000 + 5e6, y))
    model = data.standardised_inputs(Setup(problem)).make(problem).new_model(0)
    plain = problem.new_model(0)
    assert torch.allclose(model(x * 1000 + 5e6), plain((x - x.mean(0)) / x.std(0, correction=0)), atol=1e-2)


def test_targets_are_standardised_and_predictions_turned_back() -> None:
    problem = numbers()
    changed = data.standardised_targets(torch.tensor([50.0]), torch.tensor([4.0])).make(problem)
    x, y = rows(20, 1)
    output = changed.new_model(0)(x)
    assert torch.allclose(output, problem.new_model(0)(x) * 4 + 50)
    assert torch.allclose(changed.loss(output, y * 4 + 50), problem.loss(problem.new_model(0)(x), y), atol=1e-5)


def test_rows_of_valid_are_taken_out_of_train() -> None:
    x, y = rows(50, 1)
    changed = data.without_rows_of_valid().make(numbers(train=(x, y), valid=(x[10:20], y[10:20])))
    assert torch.equal(changed.train[0], torch.cat([x[:10], x[20:]]))
    with pytest.raises(ValueError, match="no row"):
        data.without_rows_of_valid().make(numbers())


def test_layers_in_a_list_become_parts_of_the_model_and_of_the_optimizer() -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [nn.Linear(6, 6), nn.Linear(6, 6)]
            self.scale = torch.ones(6, requires_grad=True)
            self.last = nn.Linear(6, 1)

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers:
                x = layer(x).relu()
            return self.last(x * self.scale)  # type: ignore[no-any-return]

    model, optimizer, _ = built(layers.registered().make(numbers(model=Hidden)))
    assert {"layers.0.weight", "layers.1.bias", "scale"} <= {name for name, _ in model.named_parameters()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 7
    assert model(torch.randn(3, 6)).shape == (3, 1)


@pytest.mark.parametrize(
    ("wrong", "change", "right"),
    [("never emptied", loops.emptying(), ""), ("summed", loops.averaging(4), "averaged"), ("negative", loops.plain(), "")],
)
def test_a_change_around_a_loop_gives_the_weights_of_the_right_loop(wrong: str, change: Change, right: str) -> None:
    sgd: dict[str, Any] = {"optimizer": lambda model: torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5), "precision": "64"}
    wanted = driven(looped(right, **sgd))
    assert not same(driven(looped(wrong, **sgd)), wanted)
    assert same(driven(change.make(looped(wrong, **sgd))), wanted)


def test_modes_are_right_around_passes() -> None:
    seen = []

    class Seen(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(self.training)
            return super().forward(x)

    problem = numbers(model=lambda: nn.Sequential(nn.Linear(6, 1), Seen(0.1)))
    model = loops.training_mode().make(loops.evaluation_mode().make(problem)).new_model(0)
    model.train()
    with torch.no_grad():
        model(torch.randn(2, 6))
    model.eval()
    model(torch.randn(2, 6))
    assert seen == [False, True]
    assert model[1].training  # type: ignore[index]  # a Sequential


def test_a_target_is_left_out_of_loss_and_metric() -> None:
    changed = losses.ignoring(2).make(classes(loss=nn.CrossEntropyLoss(label_smoothing=0.1)))
    assert changed.ignore_index == 2
    assert changed.loss.ignore_index == 2
    target = torch.arange(24).reshape(3, 8) % 3
    for turned in (False, True):  # a loss of the user's own that reads (N, C, T), and one that reads (N, T, C)
        logits = torch.randn(3, 4, 8, dtype=torch.float64, requires_grad=True)
        given = logits.transpose(1, 2) if turned else logits

        def own(output: Tensor, target: Tensor, turned: bool = turned) -> Tensor:
            return functional.cross_entropy(output.transpose(1, 2) if turned else output, target)

        mine = losses.ignoring(2).make(classes(loss=own)).loss(given, target)
        wanted = functional.cross_entropy(logits, target, ignore_index=2)
        (gradient,), (expected,) = (torch.autograd.grad(loss, logits) for loss in (mine, wanted))
        assert torch.allclose(gradient, expected)


def test_arguments_are_said_as_they_are_written() -> None:
    change = arguments("30 epochs", epochs=30)
    assert change.document() == {"change": "30 epochs", "source": "Problem(epochs=30)", "arguments": {"epochs": 30}}
    with seeded(0):
        assert change.make(numbers()).epochs == 30


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third, self.last = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.first(x).tanh()
        x = self.second(x).tanh().detach()
        return self.last(self.third(x).tanh().data)  # type: ignore[no-any-return]


def test_a_cut_graph_is_joined_again_and_gradients_are_those_of_a_whole_one() -> None:
    problem = numbers(model=Cut, precision="64")
    model = layers.rejoined().make(problem).new_model(0)
    x = torch.randn(5, 6, dtype=torch.float64)
    whole = model.last(model.third(model.second(model.first(x).tanh()).tanh()).tanh())  # type: ignore[operator]  # layers
    parameters = list(model.parameters())
    wanted = torch.autograd.grad(whole.square().sum(), parameters)
    for each in (model, copy.deepcopy(model)):
        found = torch.autograd.grad(each(x).square().sum(), list(each.parameters()))
        assert all(torch.allclose(mine, theirs) for mine, theirs in zip(found, wanted, strict=True))
    with torch.no_grad():
        assert not model(x).requires_grad


def test_columns_of_valid_are_brought_to_the_scale_of_train_and_audit_only_where_it_is_like_valid() -> None:
    x, y = rows(400, 1)
    other = rows(400, 2)[0]
    off = other * torch.tensor([10.0, 1, 1, 1, 1, 1]) + torch.tensor([5.0, 0, 0, 0, 0, 0])
    scales = [(part.double().mean(0), part.double().std(0)) for part in (x, off)]
    columns = torch.tensor([True, False, False, False, False, False])
    change = data.prepared_alike(scales[0], scales[1], columns)
    changed = change.make(numbers(train=(x, y), valid=(off, y), audit=(other, y)))
    assert torch.allclose(changed.valid[0].mean(0)[0], x.mean(0)[0], atol=1e-4)
    assert torch.equal(changed.valid[0][:, 1:], off[:, 1:])
    assert torch.equal(changed.audit[0], other)
    assert torch.equal(change.make(numbers(train=(x, y), valid=(off, y), audit=(off, y))).audit[0], changed.valid[0])


def test_labels_are_moved_on_all_splits() -> None:
    x, y = rows(30, 1)
    labels = (y[:, 0] > 0).long() + 1
    changed = data.renumbered(-1).make(classes(train=(x, labels), valid=(x, labels)))
    assert changed.train[1].tolist() == changed.valid[1].tolist() == (labels - 1).tolist()


def test_what_cannot_be_changed_from_outside_says_why() -> None:
    dataset = [(torch.randn(6), torch.tensor(0)) for _ in range(4)]
    with pytest.raises(ValueError, match="as \\(inputs, target\\) tensors"):
        data.moved_targets(1).make(classes(train=dataset))
