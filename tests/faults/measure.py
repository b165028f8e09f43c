"""Measures the harm of every case over three seeds and prints the table of README.md: `PYTHONPATH=src:tests python -m faults.measure`."""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from faults import cases
from faults.plain import trained

SEEDS = (0, 1, 2)


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    for case in cases():
        name = case.__name__.rpartition(".")[2]
        if wanted and not any(name.startswith(prefix) for prefix in wanted):
            continue
        began = time.perf_counter()
        values = {make.__name__: [trained(make, seed).value for seed in SEEDS] for make in (case.faulty, case.healthy)}
        seconds = (time.perf_counter() - began) / len(SEEDS) / 2
        shown = {key: f"{np.mean(runs):.3f} ({min(runs):.3f} to {max(runs):.3f})" for key, runs in values.items()}
        metric = case.healthy().metric
        metric = metric if isinstance(metric, str) else metric.__name__
        sys.stdout.write(f"| {name} | {case.FAULT} | {metric} | {shown['faulty']} | {shown['healthy']} | {seconds:.1f} |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
