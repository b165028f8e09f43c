"""The contract of an engine: lane by lane it equals the sequential reference, and pausing or failing lanes change no other's numbers.

Exact engines equal it bit for bit, the others to 1e-10 of the weights' length in float64 and to 1e-4 in float32, over 50 steps.
Over 300 lines because the checks share one problem, one set of trials and one comparison.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from fallline import catalogue
from fallline._batches import leaves
from fallline._bench import Workbench
from fallline._data import open_data
from fallline._errors import FalllineError
from fallline._judge import Judge
from fallline._problem import Problem
from fallline._recipe import Average, LrChange, Part, Recipe
from fallline.engines import Engine, EngineEntry, Goal, Measurement, Trial, engine_entry
from fallline.metrics import resolve

if TYPE_CHECKING:
    import torch

Ends: TypeAlias = "dict[str, tuple[Measurement, dict[str, Any]]]"  # trial -> measurement and state at its end

STEPS = 50  # of the tolerance's definition; eight epochs of six batches and two steps more
PAUSES = (1, 17, 32)  # in the first chunk, within an epoch, at the end of a chunk
LANES = 6  # fewer than trials, so that lanes are used again
TOLERANCE = {"float64": 1e-10, "float32": 1e-4}  # of the weights' length


def model(precision: str) -> torch.nn.Module:
    """Everything that draws or keeps state: dropout, batch norm, a buffer of its own, a frozen layer and an embedding."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(4, 3)
            self.frozen = nn.Linear(5, 5)
            self.frozen.requires_grad_(False)
            # a bias before batch norm would have no gradient but rounding, of which Adam makes whole steps
            self.layers = nn.Sequential(
                nn.Linear(8, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 8), nn.Tanh()
            )
            self.head = nn.Linear(8, 1)
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.get_buffer("calls").add_(1)
            kind = self.embed((x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long())
            return self.head(self.layers(torch.cat([self.frozen(x), kind], dim=1)))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    made = Net()
    return made.double() if precision == "64" else made


def bench(precision: str = "64", **given: Any) -> Workbench:
    """Six batches an epoch, and 40 examples to look at."""
    import torch

    def rows(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(count, 5, generator=generator)
        return x, x[:, :1] - x[:, 1:2] ** 2 + 0.3 * torch.randn(count, 1, generator=generator)

    problem = Problem(
        **{"model": lambda: model(precision), "train": rows(100, 1), "valid": rows(40, 2), "audit": rows(40, 3), "metric": "mae",
           "batch_size": 16, "precision": precision, **given}
    )  # fmt: skip
    judge = Judge(resolve(problem.metric, problem.direction), problem.task or "regression", "real")
    return Workbench(problem=problem, data=open_data(problem, 0), judge=judge, device=torch.device("cpu"))


def recipe(**given: Any) -> Recipe:
    return Recipe(**{"loss": Part("mse"), "optimizer": Part("adamw", {"lr": 0.01}), "steps": STEPS, "evaluations": 5, "seed": 3, **given})


def chosen(entry: catalogue.Entry, *, plain: bool = False) -> Part:
    """An entry with its non-neutral example, or with its defaults."""
    return Part(entry.name, entry.defaults() if plain else {**entry.defaults(), **entry.example})


def trials() -> list[Trial]:
    """Every optimizer, clip and schedule, two losses, decay everywhere, averages, a shadow, a child's lr change, another seed."""
    made = {
        f"optimizer {name}{' plain' * plain}": recipe(optimizer=chosen(entry, plain=plain), decay_on="all" if plain else "matrices")
        for name, entry in catalogue.all_optimizers().items()
        for plain in (False, True)
        if not entry.full_batch and entry.installed
    }
    made |= {f"clip {name}": recipe(clip=chosen(entry)) for name, entry in catalogue.all_clips().items()}
    made |= {f"schedule {name}": recipe(schedule=chosen(entry)) for name, entry in catalogue.all_schedules().items()}
    made |= {
        "loss": recipe(loss=Part("huber", {"delta": 0.5}), clip=Part("norm", {"max_norm": 0.5})),
        "average": recipe(average=Average(0.9)),
        "lr change": recipe(lr_change=LrChange(20, 1 / 3)),
        "keep best": recipe(keep="best", optimizer=Part("momentum", {"lr": 0.05, "momentum": 0.9, "l2": 0.0})),
        "seed": recipe(seed=4),
        "seed too": recipe(seed=4, optimizer=Part("sgd", {"lr": 0.05, "l2": 0.0})),
    }
    return [*(Trial(name, what) for name, what in made.items()), Trial("shadow", recipe(), shadow_decay=0.9)]


@cache
def reference(precision: str = "64", accumulate: int = 1) -> tuple[Workbench, Ends]:
    """How every trial ends under the sequential engine."""
    where = bench(precision, accumulate=accumulate)
    return where, _ends(engine_entry("sequential"), where, trials())


def check_lanes(entry: EngineEntry, precision: str = "64", accumulate: int = 1) -> None:
    """Every trial ends as it does under the reference, whatever trains beside it."""
    where, wanted = reference(precision, accumulate)
    _compare(entry, where, wanted, _ends(entry, where, trials()))


def check_pauses(entry: EngineEntry) -> None:
    """Paused at any step, saved, and taken up by a fresh engine, every trial ends as if there had been no pause."""
    (where, wanted), those = reference(), trials()
    states: dict[str, dict[str, Any]] = {}
    for pause in PAUSES:
        with _opened(entry, where) as engine:
            for trial in those:
                if trial.name in states:
                    engine.adopt(trial, states[trial.name])
            list(engine.advance([Goal(trial, pause) for trial in those], _nothing))
            states = {trial.name: engine.state(trial.name) for trial in those}
    _compare(entry, where, wanted, _ends(entry, where, those, states))


def check_uneven(entry: EngineEntry) -> None:
    """Trials that stand at different steps and go to different goals end as they do one by one."""
    (where, wanted), those = reference(), trials()
    with _opened(entry, where) as engine:
        for turn in (3, 2, 1):  # the third, then the second and third, then all
            list(engine.advance([Goal(trial, 10 * (4 - turn)) for i, trial in enumerate(those) if i % 3 >= turn - 1], _nothing))
        goals = [Goal(trial, STEPS - 7 * (i % 2)) for i, trial in enumerate(those)]
        list(engine.advance(goals, _nothing))
        reached = {m.trial: m for m in engine.advance([Goal(trial, STEPS) for i, trial in enumerate(those) if i % 2], _nothing)}
        states = {trial.name: engine.state(trial.name) for trial in those}
    odd = {trial.name: (reached[trial.name], states[trial.name]) for i, trial in enumerate(those) if i % 2}
    _compare(entry, where, {name: wanted[name] for name in odd}, odd)
    even = {trial.name: (wanted[trial.name][0], states[trial.name]) for i, trial in enumerate(those) if not i % 2}
    _compare(entry, where, {name: wanted[name] for name in even}, even)


def check_accumulation(entry: EngineEntry) -> None:
    """Gradients of several batches make one step, as under the reference."""
    check_lanes(entry, accumulate=2)


def check_single_precision(entry: EngineEntry) -> None:
    """The same in float32."""
    check_lanes(entry, precision="32")


def check_divergence(entry: EngineEntry) -> None:
    """A lane that diverges is a measurement with a fault, and its neighbours do not notice."""
    where = bench()
    wild = Trial("wild", recipe(optimizer=Part("sgd", {"lr": 1e12, "l2": 0.0})))
    those = [Trial("first", recipe()), wild, Trial("last", recipe(optimizer=Part("nesterov", {"lr": 0.01, "momentum": 0.9, "l2": 0.0})))]
    with _opened(entry, where) as engine:
        reached = {m.trial: m for m in engine.advance([Goal(trial, STEPS) for trial in those], _nothing)}
        assert reached["wild"].fault.startswith("diverged: "), f"{entry.name}: {reached['wild']}"
        assert reached["wild"].value is None
        ends = {name: (reached[name], engine.state(name)) for name in ("first", "last")}
    calm = [trial for trial in those if trial is not wild]
    _compare(entry, where, _ends(engine_entry("sequential"), where, calm), ends)


def check_costs(entry: EngineEntry) -> None:
    """A measurement says what the way to its goal cost: the steps made, and seconds of training and looking."""
    where, those = bench(), [Trial("one", recipe()), Trial("two", recipe(optimizer=Part("sgd", {"lr": 0.05, "l2": 0.0})))]
    with _opened(entry, where) as engine:
        for goal, steps in ((10, 10), (STEPS, STEPS - 10)):
            for measurement in engine.advance([Goal(trial, goal) for trial in those], _nothing):
                assert (measurement.step, measurement.steps) == (goal, steps), f"{entry.name}: {measurement}"
                assert measurement.train_s > 0 < measurement.eval_s, f"{entry.name}: {measurement}"
                assert measurement.ended is (goal == STEPS)


def check_interruption(entry: EngineEntry) -> None:
    """What a pulse raises passes through, after what the ways have cost; trials stay where they are, and go on to the same end."""

    class Stopped(FalllineError):
        pass

    calls = 0

    def pulse() -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise Stopped

    slow = recipe(steps=4000, evaluations=1, optimizer=Part("sgd", {"lr": 1e-3, "l2": 0.0}))
    where, those = bench(), [Trial(f"trial {i}", slow) for i in range(2)]
    with _opened(entry, where) as engine:
        halted: dict[str, Measurement] = {}
        with contextlib.suppress(Stopped):
            for measurement in engine.advance([Goal(trial, 4000) for trial in those], pulse):
                halted[measurement.trial] = measurement
            raise AssertionError(f"{entry.name}: what the pulse raised was swallowed")
        held = [trial for trial in those if engine.holds(trial.name)]
        assert held, f"{entry.name}: nothing is held after an interruption"
        steps = {trial.name: int(engine.state(trial.name)["step"]) for trial in held}
        assert all(0 <= step < 4000 for step in steps.values()), f"{entry.name}: {steps}"
        assert {m.trial: m.steps for m in halted.values() if m.halted} == steps, f"{entry.name}: what was cut off is not counted: {halted}"
        goal = max(steps.values()) + 20
        reached = {m.trial: m for m in engine.advance([Goal(trial, goal) for trial in held], _nothing)}
        came = {trial.name: (reached[trial.name], engine.state(trial.name)) for trial in held}
    with _opened(engine_entry("sequential"), where) as plain:
        whole = {m.trial: m for m in plain.advance([Goal(trial, goal) for trial in held], _nothing)}
        wanted = {trial.name: (whole[trial.name], plain.state(trial.name)) for trial in held}
    _compare(entry, where, wanted, came)


def check_raising(entry: EngineEntry) -> None:
    """What a model raises in the midst of training is a measurement with a fault, never an exception."""
    import torch
    from torch import nn

    class Fragile(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(5, 1)
            self.register_buffer("calls", torch.zeros((), dtype=torch.long))
            self.register_buffer("table", torch.zeros(20, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if self.training:
                self.get_buffer("calls").add_(1)
            beyond = nn.functional.embedding(self.get_buffer("calls"), self.get_buffer("table"))  # raises at its twentieth call
            return self.layer(x) + beyond  # type: ignore[no-any-return]  # Module.__call__ is untyped

    where, those = bench("32", model=Fragile), [Trial(f"trial {i}", recipe()) for i in range(2)]
    with _opened(entry, where) as engine:
        reached = list(engine.advance([Goal(trial, STEPS) for trial in those], _nothing))
    assert sorted(m.trial for m in reached) == ["trial 0", "trial 1"]
    assert all(m.fault.startswith("raised ") and m.value is None for m in reached), f"{entry.name}: {reached}"


def check_final(entry: EngineEntry) -> None:
    """The model handed back gives what the state's weights give, and a dropped trial is forgotten."""
    import torch

    where, trial = bench(), Trial("one", recipe(keep="best"))
    with _opened(entry, where) as engine:
        list(engine.advance([Goal(trial, STEPS)], _nothing))
        best = engine.state("one")["best_weights"]
        model = engine.final("one")
        assert all(torch.equal(tensor, best[name]) for name, tensor in model.state_dict().items()), f"{entry.name}: not the best weights"
        engine.drop("one")
        assert not engine.holds("one")


CHECKS: tuple[Callable[[EngineEntry], None], ...] = (
    check_lanes,
    check_single_precision,
    check_accumulation,
    check_pauses,
    check_uneven,
    check_divergence,
    check_costs,
    check_interruption,
    check_raising,
    check_final,
)


def _nothing() -> None:
    return None


@contextlib.contextmanager
def _opened(entry: EngineEntry, where: Workbench) -> Iterator[Engine]:
    with contextlib.closing(entry.open(where, LANES)) as engine:
        yield engine


def _ends(entry: EngineEntry, where: Workbench, those: Sequence[Trial], states: dict[str, dict[str, Any]] | None = None) -> Ends:
    """Measurement and state of every trial at its end."""
    with _opened(entry, where) as engine:
        for trial in those:
            if states is not None:
                engine.adopt(trial, states[trial.name])
        reached = {m.trial: m for m in engine.advance([Goal(trial, STEPS) for trial in those], _nothing)}
        return {trial.name: (reached[trial.name], engine.state(trial.name)) for trial in those}


def _compare(entry: EngineEntry, where: Workbench, wanted: Ends, came: Ends) -> None:
    for name, (plain, theirs) in wanted.items():
        measurement, mine = came[name]
        facts = ("step", "fault", "ended", *(("value", "loss", "looks") if entry.exact else ()))
        for fact in facts:
            assert getattr(measurement, fact) == getattr(plain, fact), f"{entry.name}, {name}: {fact} {measurement} {plain}"
        for kind in ("model", "average", "shadow", "best_weights", "optimizer"):
            apart = distance(mine[kind], theirs[kind])
            limit = 0.0 if entry.exact else TOLERANCE["float64" if where.problem.precision == "64" else "float32"]
            assert apart <= limit, f"{entry.name}, {name}: {kind} is {apart:.1e} of its length from the reference"


def distance(one: Any, other: Any) -> float:
    """The distance of two trees of tensors, in lengths of the second; infinite where their other leaves or shapes differ."""
    import torch

    mine, theirs = (list(leaves(_ordered(tree))) for tree in (one, other))
    if [leaf.shape for leaf in mine] != [leaf.shape for leaf in theirs] or [leaf.dtype for leaf in mine] != [leaf.dtype for leaf in theirs]:
        return math.inf
    whole = [(a, b) for a, b in zip(mine, theirs, strict=True) if not a.is_floating_point()]
    if not all(torch.equal(a, b) for a, b in whole):
        return math.inf
    pairs = [(a.double(), b.double()) for a, b in zip(mine, theirs, strict=True) if a.is_floating_point()]
    apart = math.sqrt(sum(float((a - b).square().sum()) for a, b in pairs))
    length = math.sqrt(sum(float(b.square().sum()) for _, b in pairs))
    return apart / length if length else apart


def _ordered(tree: Any) -> Any:
    """The same tree with its keys in order: optimizers list their state in the order in which it came to be."""
    if isinstance(tree, Mapping):
        return {key: _ordered(tree[key]) for key in sorted(tree, key=str)}
    return [_ordered(item) for item in tree] if isinstance(tree, list | tuple) else tree


def with_lanes(entry: EngineEntry, lanes: int) -> EngineEntry:
    """The same engine, always opened with so many lanes."""
    return replace(entry, open=lambda where, _: entry.open(where, lanes))
