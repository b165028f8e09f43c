"""fallline.train against bare loops in the same run: plain, foreach and fused AdamW, data gathered by index.

Run: python benchmarks/loop.py [--repeats 15] [--steps 400]
Each repeat times all loops in a random order, one thread; the figure is the median over repeats of the ratio to the fastest bare loop
of that repeat, with its 10th and 90th percentile.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from fallline import Problem, Recipe
from fallline._constraints import Constraints
from fallline._planning import make_plan
from fallline._recipe import Part
from fallline._setting import prepare
from fallline._step import start


def mlp(*widths: int) -> Callable[[], nn.Module]:
    """A factory of plain ReLU networks."""

    def make() -> nn.Module:
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    return make


MODELS = {
    "mlp 16-128-128-1, batch 128": (mlp(16, 128, 128, 1), 128),
    "mlp 64-16-16-1, batch 32": (mlp(64, 16, 16, 1), 32),
    "mlp 64-512-512-1, batch 256": (mlp(64, 512, 512, 1), 256),
}


def bare(model: nn.Module, x: torch.Tensor, y: torch.Tensor, batch: int, steps: int, **how: bool) -> float:
    """Seconds of the loop that everybody writes, with AdamW in one of its three implementations."""
    optimizer = torch.optim.AdamW(model.parameters(), **how)
    loss_of = nn.MSELoss()
    per_epoch = len(x) // batch
    began = time.perf_counter()
    for step in range(steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(x))
        rows = order[(step % per_epoch) * batch : (step % per_epoch + 1) * batch]
        loss = loss_of(model(x.index_select(0, rows)), y.index_select(0, rows))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return time.perf_counter() - began


def ours(problem: Problem, steps: int) -> float:
    """Seconds of the same training by the code under `fallline.train`, without its one-time preparation and without looks."""
    setting = prepare(problem)
    plan = make_plan(setting, price=1, constraints=Constraints())
    recipe = Recipe(loss=Part("mse"), optimizer=Part("adamw"), decay_on="all", steps=steps, evaluations=1)
    training = start(setting.bench(plan), recipe)
    began = time.perf_counter()
    training.run(steps)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{platform.processor() or platform.machine()}, torch {torch.__version__}, 1 thread, {args.repeats} repeats of {args.steps} steps"
    )
    print("| model | plain | foreach | fused | fallline | fallline / fastest (10 %, 90 %) |\n|---|---|---|---|---|---|")
    for name, (make, batch) in MODELS.items():
        print(row(name, make, batch, args.repeats, args.steps), flush=True)


def row(name: str, make: Callable[[], nn.Module], batch: int, repeats: int, steps: int) -> str:
    """One model's line of the table."""
    width = next(make().parameters()).shape[1]
    torch.manual_seed(0)
    x, y = torch.randn(4096, width), torch.randn(4096, 1)
    few = (x[:64], y[:64])
    problem = Problem(model=make, train=(x, y), valid=few, audit=few, metric="mse", batch_size=batch, epochs=20)
    loops = {
        "plain": lambda: bare(make(), x, y, batch, steps, foreach=False),
        "foreach": lambda: bare(make(), x, y, batch, steps, foreach=True),
        "fused": lambda: bare(make(), x, y, batch, steps, fused=True),
        "fallline": lambda: ours(problem, steps),
    }
    times: dict[str, list[float]] = {key: [] for key in loops}
    for repeat in range(repeats):
        for key in random.Random(repeat).sample(list(loops), len(loops)):
            times[key].append(loops[key]())
    fastest = np.min([times[key] for key in ("plain", "foreach", "fused")], axis=0)
    ratio = np.array(times["fallline"]) / fastest
    micros = " | ".join(f"{1e6 * float(np.median(times[key])) / steps:.0f} µs" for key in loops)
    low, high = np.quantile(ratio, [0.1, 0.9])
    return f"| {name} | {micros} | {np.median(ratio):.3f} ({low:.3f}, {high:.3f}) |"


if __name__ == "__main__":
    main()
