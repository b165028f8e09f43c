"""The pausing law: stop at step a, write the state, read it in a fresh trial and go on to b: the same as unbroken training."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

import fallline
from fallline import catalogue
from fallline._bench import Workbench
from fallline._data import open_data
from fallline._judge import Judge
from fallline._loop import LoopTraining
from fallline._prior import baseline
from fallline._profile import Profile
from fallline._recipe import OWN, Average, Cooldown, Frame, LrChange, Part, Recipe
from fallline._step import Training, start
from fallline.metrics import resolve

STEPS = 60  # ten epochs of six batches; looks every three steps
PAUSES = (1, 17, 40)  # inside the first chunk, inside an epoch, after a drop of the plateau schedule
CPU = torch.device("cpu")


class Net(nn.Module):
    """Everything that draws or keeps state: dropout, batch norm, and a buffer that only its own forward pass writes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 8), nn.Linear(8, 1))
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        return self.layers(x)  # type: ignore[no-any-return]


class Still(Net):
    """The same without dropout, for optimizers that need train in one batch and the same loss each time."""

    def __init__(self) -> None:
        super().__init__()
        self.layers[3].p = 0.0


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=generator)
    return x, x[:, :1] - x[:, 1:2] ** 2 + 0.3 * torch.randn(count, 1, generator=generator)


def bench(**given: Any) -> Workbench:
    """Six batches an epoch, and 32 examples to look at."""
    problem = fallline.Problem(
        **{"model": Net, "train": rows(100, 1), "valid": rows(32, 2), "audit": rows(32, 3), "metric": "mae", "batch_size": 16, **given}
    )
    judge = Judge(resolve(problem.metric, problem.direction), problem.task or "regression", "real")
    return Workbench(problem=problem, data=open_data(problem, 0), judge=judge, device=CPU)


def recipe(**given: Any) -> Recipe:
    return Recipe(**{"loss": Part("mse"), "optimizer": Part("adamw", {"lr": 0.01}), "steps": STEPS, "seed": 3, **given})


def chosen(entry: catalogue.Entry, settings: Mapping[str, Any] | None = None) -> Part:
    return Part(entry.name, {**entry.defaults(), **(entry.example if settings is None else settings)})


def from_disk(state: Mapping[str, Any]) -> dict[str, Any]:
    """What another process reads: tensors and plain containers only."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)  # type: ignore[no-any-return]


def same(a: Any, b: Any) -> bool:
    """Equal bit for bit, NaN equal to NaN."""
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or a != a


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [key for key in a if not same(a[key], b[key])]


def check(where: Workbench, what: Recipe, shadow: float | None = None, begin: Callable[..., Any] = start) -> Training:
    """Unbroken training against training that is paused at every one of PAUSES; hands back the unbroken one."""

    def fresh() -> Any:
        return begin(where, what) if shadow is None else begin(where, what, shadow)

    whole, broken = fresh(), fresh()
    for pause in PAUSES:
        broken.advance(pause)
        state = from_disk(broken.state())
        broken = fresh()
        torch.manual_seed(pause)  # whatever else happened in the process meanwhile
        broken.restore(from_disk(state))  # a copy: some schedulers take a state apart while they read it
        assert differing(state, broken.state()) == [], f"at {pause}"
    whole.advance(STEPS)
    broken.advance(STEPS)
    assert differing(whole.state(), broken.state()) == []
    assert same(whole.final().state_dict(), broken.final().state_dict())
    assert whole.standing() == broken.standing()
    assert whole.step == STEPS
    return whole  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", list(catalogue.all_optimizers()))
def test_every_optimizer_goes_on_as_if_there_had_been_no_pause(name: str) -> None:
    entry = catalogue.optimizer(name)
    if entry.package:
        pytest.importorskip(entry.package, reason='needs the extra: pip install "fallline[optimizers]"')
    where = bench(model=Still, batch_size=100) if entry.full_batch else bench()
    check(where, recipe(optimizer=chosen(entry)))
    check(where, recipe(optimizer=chosen(entry, {}), decay_on="all", keep="best"))


@pytest.mark.parametrize("name", list(catalogue.all_schedules()))
def test_every_schedule_goes_on_as_if_there_had_been_no_pause(name: str) -> None:
    entry = catalogue.schedule(name)
    check(bench(), recipe(schedule=chosen(entry)))
    check(bench(), recipe(schedule=chosen(entry, {})))


@pytest.mark.parametrize("name", list(catalogue.all_clips()))
def test_every_clip_goes_on_as_if_there_had_been_no_pause(name: str) -> None:
    entry = catalogue.clip(name)
    check(bench(), recipe(clip=chosen(entry)))
    check(bench(), recipe(clip=chosen(entry, {})))


def test_a_plateau_schedule_has_dropped_before_one_of_the_pauses() -> None:
    where, what = bench(), recipe(schedule=chosen(catalogue.schedule("plateau"), {"patience": 1, "factor": 0.5, "threshold": 0.2}))
    training = start(where, what)
    training.advance(PAUSES[-1])
    assert training.optimizer.param_groups[0]["lr"] < 0.01, "otherwise the test above proves less than it says"
    check(where, what)


FOR_REGRESSION = [name for name, entry in catalogue.all_losses().items() if "regression" in entry.tasks and entry.width == 1]


@pytest.mark.parametrize("name", FOR_REGRESSION)
def test_every_loss_of_a_regression_goes_on_as_if_there_had_been_no_pause(name: str) -> None:
    check(bench(), recipe(loss=chosen(catalogue.loss(name), {})))


def test_an_average_and_its_best_weights_go_on() -> None:
    whole = check(bench(), recipe(average=Average(0.95), keep="best"))
    assert whole.average is not None
    assert not same(whole.average.model.state_dict(), whole.model.state_dict())


def test_the_average_that_only_rungs_read_goes_on() -> None:
    whole = check(bench(), recipe(), shadow=0.95)
    assert whole.shadow is not None


def test_clips_a_changed_lr_and_a_cooldown_go_on() -> None:
    check(bench(), recipe(clip=Part("norm", {"max_norm": 0.1}), lr_change=LrChange(10, 1 / 3)))
    check(bench(), recipe(clip=Part("value", {"clip_value": 0.01}), steps=200, cooldown=Cooldown(STEPS - 20, 20)))


def test_patience_remembers_its_best_look_over_a_pause() -> None:
    what = recipe(optimizer=Part("adamw", {"lr": 0.3}), keep="best", patience=3, steps=STEPS)
    whole, broken = start(bench(), what), start(bench(), what)
    whole.advance(STEPS)
    assert whole.stopped_at is not None, "otherwise nothing was tried"
    for pause in (5, whole.stopped_at - 4, whole.stopped_at - 1, STEPS):
        broken.advance(pause)
        state = from_disk(broken.state())
        broken = start(bench(), what)
        broken.restore(state)
    assert differing(whole.state(), broken.state()) == []
    assert same(whole.final().state_dict(), broken.final().state_dict())


@pytest.mark.parametrize(
    "given", [{"accumulate": 3}, {"precision": "64"}, {"precision": "bf16"}, {"shuffle": False}, {"batch_size": 32}], ids=str
)
def test_the_ways_to_make_a_step_go_on(given: dict[str, Any]) -> None:
    check(bench(**given), recipe())


def own(optimizer: Any, scheduler: Any = None, step: str = "epoch", **given: Any) -> tuple[Workbench, Recipe]:
    """The user's own set-up as a recipe."""
    where = bench(optimizer=optimizer, scheduler=scheduler, scheduler_step=step, **given)
    profile = Profile(
        task="regression", rows=100, valid_rows=32, audit_rows=32, batch_size=16, batches_per_epoch=6, passes=10, output_kind="real",
        output_shape=(1,), width=1, classes=0, target_shape=(1,),
    )  # fmt: skip
    what = baseline(where.problem, profile, Frame(STEPS, 3, 20, 0))
    assert what.optimizer == Part(OWN)
    assert (what.schedule == Part(OWN)) == (scheduler is not None)
    return where, what


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5], 0.5),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, 0.5, 99),
    "LinearLR": lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 99),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, 8),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 9),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
    "CyclicLR": lambda o: lr_scheduler.CyclicLR(o, 1e-3, 1e-1, 3),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, 0.03, total_steps=STEPS + 1),
    "ReduceLROnPlateau": lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0, threshold=0.2),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda n: 0.9**n),
    "MultiplicativeLR": lambda o: lr_scheduler.MultiplicativeLR(o, lambda n: 0.9),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 2), lr_scheduler.CosineAnnealingLR(o, 8)], [2]
    ),
    "ChainedScheduler": lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ConstantLR(o, 0.5, 3), lr_scheduler.ExponentialLR(o, 0.9)]),
}


PLATEAU_BY_BATCH = ("ReduceLROnPlateau", "batch")  # refused before a race: the metric is measured once an epoch


def momentum(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


@pytest.mark.parametrize(
    ("name", "step"), [(name, step) for name in SCHEDULERS for step in ("epoch", "batch") if (name, step) != PLATEAU_BY_BATCH]
)
def test_the_users_own_scheduler_goes_on(name: str, step: str) -> None:
    where, what = own(momentum, SCHEDULERS[name], step)
    whole = check(where, what)
    assert whole.optimizer.param_groups[0]["lr"] != 0.02, "the scheduler did nothing, so nothing was tried"


@pytest.mark.parametrize(
    "name", ["Adam", "AdamW", "SGD", "RMSprop", "Adadelta", "Adagrad", "Rprop", "ASGD", "NAdam", "RAdam", "Adamax", "Adafactor"]
)
def test_the_users_own_optimizer_goes_on(name: str) -> None:
    check(*own(lambda model: getattr(torch.optim, name)(model.parameters(), lr=0.01)))


def one_epoch(model: nn.Module, loss: Any, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


@pytest.mark.parametrize("name", ["none", "StepLR", "ReduceLROnPlateau"])
def test_the_users_own_loop_goes_on_by_whole_epochs(name: str) -> None:
    check(*own(momentum, SCHEDULERS.get(name), loss=nn.MSELoss(), loop=one_epoch), begin=LoopTraining.start)


def test_a_candidate_in_the_users_own_loop_goes_on() -> None:
    where, _ = own(momentum, loss=nn.MSELoss(), loop=one_epoch)
    check(where, recipe(schedule=chosen(catalogue.schedule("one_cycle")), keep="best"), begin=LoopTraining.start)
