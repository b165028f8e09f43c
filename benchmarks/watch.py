"""What fallline.watch costs: the same loop watched and unwatched, in alternate blocks of one run.

Run: python benchmarks/watch.py [--blocks 12] [--seconds 1.0]
Each block is a whole number of steps of about the given time, in random order within its pair; the figure is the median over pairs of
the ratio of times, with its 25th and 75th percentile. One thread.
"""

from __future__ import annotations

import argparse
import platform
import random
import time

import numpy as np
import torch
from torch import nn

import fallline


def mlp() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    model = nn.Sequential(nn.Linear(16, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))
    return model, torch.randn(128, 16), torch.randn(128, 1)


def cnn() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 1),
    )  # fmt: skip
    return model, torch.randn(64, 1, 28, 28), torch.randn(64, 1)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, count: int) -> float:
    """Seconds of the loop that everybody writes."""
    loss_of = nn.MSELoss()
    began = time.perf_counter()
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {args.blocks} pairs of blocks\n")
    print("| model | step | watched / unwatched | 25 to 75 % |\n|---|---|---|---|")
    for name, make in (("small MLP, 16-128-128-1, batch 128", mlp), ("CNN, 28 x 28, batch 64", cnn)):
        torch.manual_seed(0)
        model, x, y = make()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        steps(model, optimizer, x, y, 10)
        one = steps(model, optimizer, x, y, 20) / 20
        count = max(int(args.seconds / one), 5)
        ratios = []
        with fallline.watch(model, optimizer) as seen:  # warm: the dense first looks are a start-up cost of microseconds, not a rate
            steps(model, optimizer, x, y, 50)
        for _ in range(args.blocks):
            times = {}
            for watched in random.sample([True, False], 2):
                if watched:
                    seen = fallline.watch(model, optimizer)
                    seen.__enter__()
                    steps(model, optimizer, x, y, 10)  # its dense beginning
                    times[watched] = steps(model, optimizer, x, y, count)
                    seen.watcher.close()
                else:
                    times[watched] = steps(model, optimizer, x, y, count)
            ratios.append(times[True] / times[False])
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        print(f"| {name} | {1e6 * one:.0f} µs | {middle:.3f} | {low:.3f} to {high:.3f} |")


if __name__ == "__main__":
    main()
