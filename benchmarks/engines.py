"""Engines side by side: trial-steps a second of each, what calibration would take, what is lost around training, and memory.

Run: python benchmarks/engines.py [--repeats 5] [--only fused,race,cnn,auto,outside,memory]
All contenders of a row run in turn, in each repeat in another order; figures are medians over repeats, ratios are taken within a repeat
and shown with their extremes. One thread a lane. "bare" is a plain loop over one model with foreach updates and gathered batches.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

import fallline
from fallline._bench import Workbench
from fallline._machine import cores
from fallline._plan import threads_for
from fallline._recipe import Part, Recipe
from fallline._setting import Setting, prepare
from fallline.engines import Engine, Goal, Trial
from fallline.engines._calibration import Demand, calibrate
from fallline.engines.fused import Fused
from fallline.engines.processes import Processes
from fallline.engines.sequential import Sequential

MIXED = (("adamw", {"lr": 1e-3}), ("nesterov", {"lr": 0.05, "momentum": 0.9}), ("nadam", {"lr": 1e-3}), ("rmsprop", {"lr": 1e-3}))
ROWS = 4096


def mlp(*widths: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for one, other in itertools.pairwise(widths[:-1]):
            layers += [nn.Linear(one, other), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))

    return make


def cnn(width: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        first = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
        second = [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        return nn.Sequential(*first, *second, nn.Linear(2 * width, 10))

    return make


def setting(make: Callable[[], nn.Module], shape: tuple[int, ...], batch: int) -> Setting:
    """Ten classes that the inputs really have, so that nothing diverges."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(ROWS, *shape, generator=generator)
    y = x.flatten(1)[:, :10].argmax(dim=1)
    part = (x[:256], y[:256])
    return prepare(
        fallline.Problem(model=make, train=(x, y), valid=part, audit=part, metric="accuracy", batch_size=batch, epochs=3), device="cpu"
    )


def trials(count: int, steps: int, *, mixed: bool = False) -> list[Trial]:
    def recipe(number: int) -> Recipe:
        name, settings = MIXED[number % len(MIXED) if mixed else 0]
        return Recipe(loss=Part("cross_entropy"), optimizer=Part(name, settings), steps=steps, evaluations=1)

    return [Trial(f"trial {number}", recipe(number)) for number in range(count)]


def bare(where: Workbench, steps: int) -> float:
    """Steps a second of a plain loop."""
    model, loss_of = where.problem.new_model(0), nn.CrossEntropyLoss()
    optimizer, batches = torch.optim.AdamW(model.parameters(), foreach=True), where.data.batches(0, where.device)
    for k in range(5):
        _step(model, loss_of, optimizer, *batches(k))
    began = time.perf_counter()
    for k in range(steps):
        _step(model, loss_of, optimizer, *batches(k))
    return steps / (time.perf_counter() - began)


def _step(model: nn.Module, loss_of: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    loss_of(model(x), y).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def rate(engine: Engine, those: Sequence[Trial]) -> float:
    """Trial-steps a second; tracing, and moving states, counted in."""
    goals = [Goal(trial, trial.recipe.steps) for trial in those]
    began = time.perf_counter()
    for measurement in engine.advance(goals, lambda: None):
        assert not measurement.fault, measurement.fault
        assert not measurement.note, measurement.note
    seconds = time.perf_counter() - began
    for trial in those:
        engine.drop(trial.name)
    return sum(goal.until for goal in goals) / seconds


def in_turn(contenders: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        for name in random.Random(repeat).sample(list(contenders), len(contenders)):
            found[name].append(contenders[name]())
    return found


def row(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def header(*cells: str) -> None:
    print()
    row(*cells)
    print("|" + "---|" * len(cells), flush=True)


def middle(found: dict[str, list[float]], *names: str) -> list[str]:
    """The median of each, with digits that mean something."""
    return [f"{statistics.median(found[name]):,.{0 if statistics.median(found[name]) > 100 else 1}f}" for name in names]


def ratio(found: dict[str, list[float]], one: str, other: str) -> str:
    each = [a / b for a, b in zip(found[one], found[other], strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f}, {max(each):.2f})"


SIZES = (((64, 16, 16, 10), 32), ((64, 32, 32, 10), 64), ((64, 64, 64, 10), 128), ((64, 128, 128, 10), 64))


def named(widths: Sequence[int], batch: int) -> str:
    return f"mlp {'-'.join(map(str, widths))}, {batch}"


def fused_against_bare(repeats: int) -> None:
    header("model, batch", "lanes", "bare, steps/s", "fused, trial-steps/s", "fused / bare", "four optimizers mixed / bare")
    for (widths, batch), lanes in itertools.product(SIZES, (8, 32)):
        where = setting(mlp(*widths), (64,), batch).bench_of(0, 0)
        engine = Fused(where, lanes)
        contenders = {
            "bare": partial(bare, where, 600),
            "fused": partial(rate, engine, trials(lanes, 600)),
            "mixed": partial(rate, engine, trials(lanes, 600, mixed=True)),
        }
        found = in_turn(contenders, repeats)
        row(named(widths, batch), lanes, *middle(found, "bare", "fused"), ratio(found, "fused", "bare"), ratio(found, "mixed", "bare"))


def fused_against_processes(repeats: int) -> None:
    header("model, batch", "lanes", "sequential", "processes", "fused", "processes / sequential", "fused / processes")
    for (widths, batch), lanes in itertools.product((((16, 8, 10), 32), *SIZES), (4, 8)):
        where = setting(mlp(*widths), widths[:1], batch).bench_of(0, 0)
        with contextlib.closing(Processes(where, cores())) as processes:
            rate(processes, trials(cores(), 10))  # workers are there
            those = trials(lanes, 800, mixed=True)
            engines = {"sequential": Sequential(where), "processes": processes, "fused": Fused(where, lanes)}
            found = in_turn({name: partial(rate, engine, those) for name, engine in engines.items()}, repeats)
        ratios = ratio(found, "processes", "sequential"), ratio(found, "fused", "processes")
        row(named(widths, batch), lanes, *middle(found, *engines), *ratios)


def with_threads(count: int, where: Workbench, those: Sequence[Trial]) -> float:
    """The sequential engine with so many threads."""
    torch.set_num_threads(count)
    try:
        return rate(Sequential(where), those)
    finally:
        torch.set_num_threads(1)


def processes_on_a_cnn(repeats: int) -> None:
    header("model, batch", "one process, all threads", "processes, one thread each", "ratio")
    for width, batch in ((8, 64), (16, 64)):
        where = setting(cnn(width), (1, 28, 28), batch).bench_of(0, 0)
        with contextlib.closing(Processes(where, cores())) as engine:
            rate(engine, trials(cores(), 3))
            contenders = {
                "threads": partial(with_threads, cores(), where, trials(1, 60)),
                "processes": partial(rate, engine, trials(4, 60)),
            }
            found = in_turn(contenders, repeats)
        name = f"cnn {width}-{2 * width} with batch norm, {batch}"
        row(name, *middle(found, "threads", "processes"), ratio(found, "processes", "threads"))


def automatic_choice(repeats: int) -> None:
    header("model, batch", "sequential", "processes", "taken", "taken / best", "taken / sequential")
    models = [(f"mlp 64-{w}-{w}-10", mlp(64, w, w, 10), (64,), 128) for w in (16, 64, 256, 512, 1024)]
    models += [(f"cnn {w}-{2 * w}", cnn(w), (1, 28, 28), 64) for w in (4, 8, 16)]
    for name, make, shape, batch in models:
        ready = setting(make, shape, batch)
        where, profile = ready.bench_of(0, 0), ready.profile
        demand = Demand(trials=7, memory=profile.memory, seconds=100.0, threads=threads_for(profile, cores()))
        taken = calibrate(where, trials(1, 10**6)[0].recipe, demand).engine
        steps = max(round(0.6 / profile.step_s), 4)
        with contextlib.closing(Processes(where, cores())) as engine:
            rate(engine, trials(cores(), 3))
            alone = partial(with_threads, demand.threads, where, trials(2, steps))
            found = in_turn({"sequential": alone, "processes": partial(rate, engine, trials(4, steps))}, repeats)
        best = max(found, key=lambda key: statistics.median(found[key]))
        figures = middle(found, "sequential", "processes")
        row(f"{name}, {batch}", *figures, taken, ratio(found, taken, best), ratio(found, taken, "sequential"))


def outside(_: int) -> None:
    """What a stage of a race spends outside training steps and looks, as a share of its lane-seconds."""
    header("model, batch", "engine", "share outside training and evaluation")
    small, large = ("mlp 64-64-64-10", mlp(64, 64, 64, 10), (64,), 128, 4000), ("cnn 8-16", cnn(8), (1, 28, 28), 64, 150)
    for name, make, shape, batch, steps in (small, large):
        where = setting(make, shape, batch).bench_of(0, 0)
        for opened in (Sequential(where), Processes(where, cores())):
            with contextlib.closing(opened) as engine:
                began = time.perf_counter()
                reached = list(engine.advance([Goal(trial, steps) for trial in trials(4, steps)], lambda: None))
                lane_s = (time.perf_counter() - began) * engine.lanes
            spent = sum(measurement.train_s + measurement.eval_s for measurement in reached)
            row(f"{name}, {batch}", opened.name, f"{1 - spent / lane_s:.1%}")


def memory(_: int) -> None:
    """Peak memory of a stage beside what its trials need."""
    header("model, batch", "engine", "lanes", "allowed, MiB", "taken, MiB")
    cases: tuple[tuple[str, Setting, int, Callable[[Workbench, int], Engine]], ...] = (
        *((named((64, width, width, 10), 128), setting(mlp(64, width, width, 10), (64,), 128), 2, Processes) for width in (1024, 2048)),
        *((f"cnn {width}-{2 * width}, 64", setting(cnn(width), (1, 28, 28), 64), 2, Processes) for width in (16, 64)),
        (named((64, 64, 64, 10), 128), setting(mlp(64, 64, 64, 10), (64,), 128), 32, Fused),
    )
    for name, given, lanes, engine in cases:
        where = given.bench_of(0, 0)
        parameters = sum(p.numel() for p in where.problem.new_model(0).parameters())
        # weights, two averages of AdamW, gradients; activations of one batch a lane; the rest is for everything else
        allowed = lanes * (4 * 4 * parameters + _activations(where)) + 200 * 2**20
        before, most = _taken([os.getpid()]), 0
        with contextlib.closing(engine(where, lanes)) as opened:

            def watch(opened: Engine = opened) -> None:
                nonlocal most
                most = max(most, _taken([os.getpid(), *(worker.pid for worker in getattr(opened, "_workers", ()))]))

            list(opened.advance([Goal(trial, 60) for trial in trials(lanes, 60)], watch))
        row(name, opened.name, lanes, *(f"{amount / 2**20:,.0f}" for amount in (allowed, most - before)))


def _activations(where: Workbench) -> int:
    """Bytes of what the forward pass of one batch keeps for the backward pass, weights apart."""
    model = where.problem.new_model(0)
    inputs, target = where.data.batches(0, where.device)(0)
    own, kept = {parameter.data_ptr() for parameter in model.parameters()}, dict[int, int]()

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = nn.functional.cross_entropy(model(inputs), target)
    del loss
    return sum(kept.values())


def _taken(pids: Sequence[int]) -> int:
    """Bytes that processes take together: a page that they share is counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += 1024 * int(next(line.split()[1] for line in lines if line.startswith("Pss:")))
    return total


TABLES = {
    "fused": fused_against_bare,
    "race": fused_against_processes,
    "cnn": processes_on_a_cnn,
    "auto": automatic_choice,
    "outside": outside,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default=",".join(TABLES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, {cores()} cores, {given.repeats} repeats")
    for name in given.only.split(","):
        TABLES[name](given.repeats)


if __name__ == "__main__":
    main()
