"""What the parts of a training step cost on some tasks: the optimizer, the clip, averaged weights, and Muon's products by themselves.

Run: python benchmarks/price/parts.py DATA_FOLDER [--only TASK ...]
Nothing else may run beside it. One thread; medians over turns, in which all parts of a task take theirs. Gradients are drawn, lr is 0, so
that the weights stay where they are. Beside the clip by percentile stands the same in tensors, whose quantile torch sorts anew each step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from muon import recipe_of, row_named
from tasks import TASKS

from fallline import catalogue
from fallline._average import Average
from fallline._setting import Setting, prepare, threads
from fallline._step import start

SEEN = ("letter", "wine", "trashnet", "shakespeare_transformer", "banking")
ROWS = {"adamw": "adamw-12-moving", "nesterov": "nesterov-2-moving", "muon": "muon-5-moving"}
TURNS, CALLS = 15, 40
WIDTH = 128  # of a table's network, where Muon's products are most of its step


def in_tensors(share: float, window: int) -> Callable[[Sequence[torch.Tensor]], None]:
    """Clipping by percentile with a window of norms that is a tensor, full from the start."""
    norms, seen = torch.rand(window), 0

    def clip(parameters: Sequence[torch.Tensor]) -> None:
        nonlocal seen
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        norms[seen % window] = norm.where(norm.isfinite(), torch.nan)
        seen += 1
        scale = (torch.nanquantile(norms, share) / norm).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)

    return torch.no_grad()(clip)


def timed(parts: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a call of each."""
    found: dict[str, list[float]] = {name: [] for name in parts}
    for part in parts.values():
        part()
    for _ in range(TURNS):
        for name, part in parts.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                part()
            found[name].append((time.perf_counter() - began) / CALLS * 1e6)
    return {name: statistics.median(values) for name, values in found.items()}


def parts_of(setting: Setting) -> dict[str, Callable[[], object]]:
    """Each optimizer's step on the task's network, a clip by percentile with its window full, and an average."""
    bench, parts = setting.bench_of(0, 0), {}
    for name, row in ROWS.items():
        training = start(bench, recipe_of(setting, row_named(row), 0))
        parameters = [parameter for group in training.optimizer.param_groups for parameter in group["params"]]
        for group in training.optimizer.param_groups:
            group["lr"] = 0.0
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter) * 0.01
        parts[name] = training.optimizer.step
    entry, average = catalogue.clip("percentile"), Average(training.model, 0.99)
    clip = entry.build(entry.defaults())
    assert clip is not None
    settings = entry.defaults()
    reference = in_tensors(float(settings["percentile"]) / 100, int(settings["window"]))
    for _ in range(int(settings["window"])):
        clip(parameters)
    clips = {"clip by percentile": lambda: clip(parameters), "the same in tensors": lambda: reference(parameters)}
    return {**parts, **clips, "average": lambda: average.update(1)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=SEEN)
    args = parser.parse_args()
    with threads(1):
        found = {task.name: timed(parts_of(prepare(task.open(args.data), seed=0))) for task in TASKS if task.name in args.only}
        matrix = torch.randn(WIDTH, WIDTH)
        product = timed({"product": lambda: matrix @ matrix.T})["product"]
    names = next(iter(found.values()))
    print(f"| microseconds, one thread | {' | '.join(names)} |\n|{'---|' * (len(names) + 1)}")
    for task, times in found.items():
        print(f"| {task} | {' | '.join(f'{value:.0f}' for value in times.values())} |")
    print(f"\none product of {WIDTH} x {WIDTH} matrices: {product:.0f} microseconds, {2 * WIDTH**3 / product / 1e3:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
