"""Train: one recipe on one problem, in one straight loop. It gives the weights that `choose` handed back, bit for bit on one thread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fallline._bench import Diverged
from fallline._errors import RefusedError
from fallline._judge import handed_back, link_of
from fallline._loop import LoopTraining
from fallline._machine import cores
from fallline._plan import threads_for
from fallline._planning import length_of
from fallline._problem import Problem
from fallline._recipe import Recipe
from fallline._setting import prepare, threads
from fallline._step import Training, start

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Trained:
    """A trained model in the user's units, its own weights, and the metric on valid and audit."""

    model: nn.Module
    recipe: Recipe  # as it was trained: with its length, where it had none
    network: nn.Module  # without link and target scale: what model.safetensors holds
    metric: str
    valid: float
    audit: float
    curve: tuple[tuple[int, float], ...]  # (step, metric) of every look


def train(problem: Problem, recipe: Recipe, *, device: str | None = None) -> Trained:
    """Train `recipe` on `problem` from its seed to its end.

    Raises:
        RefusedError: the training diverged, or the data cannot be trained on.
    """
    setting = prepare(problem, seed=recipe.seed, device=device)
    if not recipe.steps:
        recipe = replace(recipe, steps=length_of(setting))
    bench = setting.bench_of(recipe.look_rows, recipe.seed)
    with threads(recipe.threads or threads_for(setting.profile, cores())):
        training: Training | LoopTraining
        training = start(bench, recipe) if problem.loop is None else LoopTraining.start(bench, recipe)
        try:
            training.advance(recipe.end)
        except Diverged as error:
            raise RefusedError(f"the training diverged: {error}; try a smaller lr") from error
        network = training.final()
        values = {}
        for split in ("valid", "audit"):
            outputs, targets = bench.outputs(network, split)
            values[split] = setting.judge.value(outputs, targets, link_of(recipe, problem))
    curve = tuple((look.step, look.value) for look in training.looks)
    return Trained(
        handed_back(network, recipe, problem), recipe, network, setting.judge.metric.name, values["valid"], values["audit"], curve
    )
