"""One intra-op thread against all cores, by the size of a training step: where does a second thread begin to pay?

Run: python benchmarks/threads.py [--repeats 7]
The figure is the median over repeats of time at one thread over time at all cores (above 1: threads pay), with the extremes.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def mlp(width: int) -> tuple[nn.Module, torch.Tensor]:
    layers = [nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)]
    return nn.Sequential(*layers), torch.randn(128, width)


def cnn(width: int) -> tuple[nn.Module, torch.Tensor]:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers), torch.randn(64, 1, 28, 28)


def seconds(model: nn.Module, x: torch.Tensor, threads: int, steps: int = 10) -> float:
    """Mean seconds of a training step."""
    torch.set_num_threads(threads)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        model(x).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - began) / steps


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    cores = os.cpu_count() or 1
    print(f"{platform.machine()}, torch {torch.__version__}, {cores} cores, {args.repeats} repeats\n")
    print("| model | operations a step | ms at one thread | one thread over all (least, most) |\n|---|---|---|---|")
    cases = [(f"mlp {w}, batch 128", mlp(w)) for w in (64, 128, 256, 512, 1024)] + [(f"cnn {w}, batch 64", cnn(w)) for w in (4, 8, 16, 32)]
    for name, (model, x) in cases:
        with FlopCounterMode(display=False) as counter:
            model(x).pow(2).mean().backward()
        pairs = [(seconds(model, x, 1), seconds(model, x, cores)) for _ in range(args.repeats)]
        ratios = [one / more for one, more in pairs]
        figures = f"{1e3 * np.median([one for one, _ in pairs]):.2f} | {np.median(ratios):.2f} ({min(ratios):.2f}, {max(ratios):.2f})"
        print(f"| {name} | {counter.get_total_flops():.1e} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
