"""Cheaper ways to make Muon's steps orthogonal, tried and left out: what they lose against two steps of Polar Express.

Run: python benchmarks/price/cheaper.py DATA_FOLDER [--only TASK ...] [--seeds 3]
The recipe is muon-10-moving of the space; every variant trains in full on one thread. Regret: 0 is the task's reference, 1 AdamW's default.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest import mock

import torch
from muon import recipe_of, row_named, trained
from records import load
from scale import scale
from tasks import TASKS
from torch import Tensor

from fallline._setting import prepare
from fallline.catalogue.optimizers._muon import POLYNOMIALS, orthogonalised
from fallline.catalogue.optimizers._muon_lanes import orthogonalised_lanes

SEEN = ("california", "protein", "bike", "letter")  # where its products are most of a step
NINE = (12.8057, -118.3448, 387.0181, -493.2837, 213.5496)  # of odd powers: nearest to 1 on 0.02 to 1, by linear programming


def blocks(count: int) -> Callable[[Tensor], Tensor]:
    """The shorter side cut into so many blocks, each made orthogonal by itself."""

    def apart(x: Tensor) -> Tensor:
        if x.size(0) % count or x.size(0) <= count:
            return orthogonalised(x, 2, "polar_express")
        return orthogonalised_lanes(x.reshape(count, -1, x.size(1)), 2, "polar_express").reshape(x.shape)

    return apart


def each_row(x: Tensor) -> Tensor:
    """Every row of the shorter side with length 1."""
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-7)


def one_polynomial(coefficients: tuple[float, ...]) -> Callable[[Tensor], Tensor]:
    """One polynomial of degree five or nine, in three or four products, after dividing by the eighth root of the trace of gram^4."""

    def bent(x: Tensor) -> Tensor:
        x = x / x.norm().clamp(min=1e-7)
        gram = x @ x.T
        square = gram @ gram
        bound = float(square.norm().clamp(min=1e-28)) ** 0.5
        a, b, c, *more = (value / bound ** (power + 0.5) for power, value in enumerate(coefficients))
        factor = b * gram + c * square
        if more:
            factor = torch.addmm(factor, square, more[0] * gram + more[1] * square)
        return torch.addmm(x, factor, x, beta=a)

    return bent


VARIANTS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "two steps of Polar Express": lambda x: orthogonalised(x, 2, "polar_express"),
    "the same in blocks of half the rows": blocks(2),
    "in blocks of an eighth": blocks(8),
    "each row by itself": each_row,
    "one polynomial of degree nine": one_polynomial(NINE),
    "one step, tighter bound": one_polynomial(POLYNOMIALS["polar_express"][0]),
}


def lying(of_short: Callable[[Tensor], Tensor]) -> Callable[[Tensor, int, str], Tensor]:
    """The same with the shorter side first, as `_muon.orthogonalised` is called."""

    def turned(matrix: Tensor, _steps: int, _polynomial: str) -> Tensor:
        return of_short(matrix.T).T if matrix.size(0) > matrix.size(1) else of_short(matrix)

    return turned


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", default=SEEN)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    records, row = load(), row_named("muon-10-moving")
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for task in (task for task in TASKS if task.name in args.only):
        setting, held = prepare(task.open(args.data), seed=0), records[task.name]
        for seed in range(args.seeds):
            for name, of_short in VARIANTS.items():
                with mock.patch("fallline.catalogue.optimizers._muon.orthogonalised", lying(of_short)):
                    value, _ = trained(setting, recipe_of(setting, row, seed), seed)
                found[name].append(scale(held).regret(held.sign * value))
                print(f"{task.name}, seed {seed}, {name}: {found[name][-1]:.3f}", flush=True)
    first = next(iter(found.values()))
    print("\n| Muon's steps by | regret, mean | more than the first, mean and standard error |\n|---|---|---|")
    for name, regrets in found.items():
        more = [mine - base for mine, base in zip(regrets, first, strict=True)]
        error = statistics.stdev(more) / math.sqrt(len(more))
        print(f"| {name} | {statistics.mean(regrets):.3f} | {statistics.mean(more):+.3f} ± {error:.3f} |")


if __name__ == "__main__":
    main()
