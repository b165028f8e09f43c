"""Portfolio: recipes and what they did on recorded tasks, in portfolio.toml, and the order in which a new problem tries them.

The file is written by tools/build_prior.py from records (benchmarks/price). Regret: 0 is the best recorded of a task, 1 is AdamW's default.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fallline import catalogue
from fallline._profile import Profile

Floats = NDArray[np.float64]

MANY_PASSES = 3.0  # from three passes over the data on, the best checkpoint is handed back; below, the last
WORST = 2.0  # regrets are cut here: how far beyond the default a bad recipe lands says nothing about a good one
VALUES = ("regression", "count")  # tasks whose targets are numbers; all others tell classes apart
# What a likeness weighs: the kind of model most, and with all four a twin counts ten times a stranger. Set beforehand, not fitted.
ALIKE = {"model_kind": 3.0, "values": 1.5, "passes": 1.5, "normalised": 1.5}
METRIC_WEIGHS = 10.0  # of a task judged by the same metric, for the noise of seeds: an F1 of rare classes jumps where accuracy trembles
NOISE_QUANTILE = 0.5  # over recorded tasks; the upper quartile would call 44 % of real gains better instead of 53 (architecture.md)
COST_WEIGHS = 0.05  # of regret for each further plain training of time that a recipe takes: a twentieth of what there is to gain
LR_STEPS = 1000  # the length at which the portfolio's lrs are said: in the middle of those recorded
LENGTH_POWER = -0.6  # of the length: so goes the best lr of AdamW within four tasks, Muon's with -0.9; over all -0.8, -0.7, SGD's -0.4
SHORTEST = 300  # as the shortest recorded task; beyond the longest, of 3,120 steps, the power is trusted (benchmarks/price/transfer.md)
NEAR = 2.0  # within this factor of recorded tasks' width their lrs stand as they were recorded: there they were compared
FARTHEST = 8.0  # beyond it lr is moved, over a factor of four at most: so far it was measured (benchmarks/price/transfer.md)
SEAT_WEIGHS = 0.03  # of regret for each recipe of the same family in the list: ties, and what is nearly one, go to a family not tried yet


@dataclass(frozen=True)
class Facts:
    """What makes two problems alike for an optimizer: the kind of model, of target, how often data are seen, whether layers normalise."""

    model_kind: str
    values: bool
    passes: bool  # three or more
    normalised: bool

    @classmethod
    def of(cls, profile: Profile) -> Facts:
        """The facts of a profile."""
        return cls.read(vars(profile) | {"model_kind": profile.model_kind})

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Facts:
        """The same from anything that names them: a profile's fields, or what is recorded of a task."""
        return cls(str(facts["model_kind"]), facts["task"] in VALUES, float(facts["passes"]) >= MANY_PASSES, bool(facts["normalisation"]))

    def likeness(self, other: Facts) -> float:
        """How much a task with the other facts says about one with these: 1 where nothing is shared."""
        weight = 1.0
        for name, factor in ALIKE.items():
            weight *= factor if getattr(self, name) == getattr(other, name) else 1.0
        return weight


@dataclass(frozen=True)
class Portfolio:
    """The recorded tasks, the recipes tried on all of them, and what came out."""

    recipes: tuple[Mapping[str, Any], ...]  # rows: name, optimizer with its lr at LR_STEPS, schedule, clip, shrinkage, average
    tasks: tuple[str, ...]
    facts: tuple[Facts, ...]  # one a task
    regret: Floats  # (tasks, recipes), of 0 to WORST
    cost: Floats  # (tasks, recipes) time of a step in AdamW's
    metrics: tuple[str, ...]  # what each task was judged by
    directions: tuple[str, ...]  # of that metric
    noise: Floats  # (tasks,) what another seed does to AdamW's default, as `relative_noise` has it
    settled: Floats  # (tasks,) the same of the best recipe of the task, whose lr falls to its end
    fans: tuple[float, ...]  # inputs of a unit, as Profile.fan_in has it
    lr_within: Mapping[str, float] = field(default_factory=dict)  # optimizer -> factor of its best lr that loses next to nothing
    width_exponent: Mapping[str, float] = field(default_factory=dict)  # family -> the power of the fan-in that the best lr goes with

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The family of each recipe's optimizer."""
        return tuple(catalogue.optimizer(row["optimizer"]["name"]).family for row in self.recipes)

    def weights(self, facts: Facts) -> Floats:
        """How much each recorded task counts for a problem with these facts; they sum to one."""
        weights: Floats = np.array([facts.likeness(other) for other in self.facts], dtype=np.float64)
        weights /= weights.sum()
        return weights

    def order(self, facts: Facts, count: int, among: Sequence[int] | None = None) -> list[int]:
        """`count` recipes for a problem with these facts, greedily: each lowers most the mean of the best regret in the list so far.

        The first is the best single recipe; the later ones are good where the earlier are not (Metz et al., arXiv:2002.11887), and a family
        of optimizers that has recipes in the list already is held back a little, so that each has its chance.
        """
        weights = self.weights(facts)
        cost = self.step_cost(facts)
        left = list(range(len(self.recipes)) if among is None else among)
        chosen: list[int] = []
        best = np.full(len(self.tasks), WORST)
        while left and len(chosen) < count:
            seats = np.array([sum(self.families[other] == self.families[recipe] for other in chosen) for recipe in left])
            scores = weights @ np.minimum(best[:, None], self.regret[:, left]) + COST_WEIGHS * cost[left] + SEAT_WEIGHS * seats
            chosen.append(left.pop(int(np.argmin(scores.round(9)))))  # ties go by the file, not by how a machine's sums round
            best = np.minimum(best, self.regret[:, chosen[-1]])
        return chosen

    def step_cost(self, facts: Facts) -> Floats:
        """(recipes,) what a step of each costs in AdamW's, the mean over tasks like this."""
        cost: Floats = self.weights(facts) @ self.cost
        return cost

    def lr_factors(self, facts: Facts, steps: int, fan_in: float) -> dict[str, float]:
        """By family of optimizers: what lr is for a training of so many steps, of what it is at LR_STEPS; moved further where layers are
        far wider or narrower than those of recorded tasks like this.
        """
        ratio = 1.0
        if fan_in > 0:
            away = fan_in / math.exp(float(self.weights(facts) @ np.log(self.fans)))
            ratio = min(max(away, 1 / FARTHEST), FARTHEST) / min(max(away, 1 / NEAR), NEAR)  # 1 where it is near, else what is left of it
        return {family: length_factor(steps) * ratio ** self.width_exponent.get(family, 0.0) for family in dict.fromkeys(self.families)}

    def left(self, facts: Facts, recipes: Sequence[int]) -> float:
        """The mean, over tasks like this, of the least regret among some recipes."""
        return float(self.weights(facts) @ self.regret[:, list(recipes)].min(axis=1))

    def seed_noise(self, facts: Facts, metric: str, direction: str) -> tuple[float, float]:
        """What another seed does on tasks like this: the relative deviation of AdamW's default, the median over tasks; and of its
        variance the share that is left to a recipe whose lr falls to its end, in the median.
        """
        alike = np.array([facts.likeness(other) for other in self.facts])
        same = alike * np.array([mine == direction for mine in self.directions])
        same *= np.where(np.array(self.metrics) == metric, METRIC_WEIGHS, 1.0)
        return _quantile(self.noise, same, NOISE_QUANTILE, 0.0), min(_quantile((self.settled / self.noise) ** 2, alike, 0.5, 1.0), 1.0)


def length_factor(steps: int) -> float:
    """What lr is for a training of so many steps, of what it is at LR_STEPS: the longer, the lower.

    A power near -1/2 is what bounds for stochastic gradient steps have too (Nemirovski et al., SIAM J. Optim. 19, 2009);
    the one here was measured.
    """
    return float((max(steps, SHORTEST) / LR_STEPS) ** LENGTH_POWER)


def name_of(row: Mapping[str, Any], digits: int = 2) -> str:
    """What a recipe is called: optimizer, schedule and lr with so many digits, and whether it averages."""
    optimizer, averaged = row["optimizer"], "-averaged" if "average" in row else ""
    return f"{optimizer['name']}-{row['schedule']['name'].replace('_', '-')}-{optimizer['lr']:.{digits}g}{averaged}"


def relative_noise(direction: str, level: float) -> float | None:
    """What a deviation over seeds is in proportion to, for a metric at this level; None where nothing is known of its kind.

    Errors vary with their size, shares such as accuracy as sqrt(p (1 - p)), like any proportion (benchmarks/seed_noise.md).
    """
    if direction == "min" and level > 0:
        return level
    if direction == "max" and 0 < level < 1:
        return math.sqrt(level * (1 - level))
    return None


def _quantile(values: Floats, weights: Floats, share: float, otherwise: float) -> float:
    """The value below which `share` of the weight lies; values that are unknown do not count, `otherwise` stands for none at all."""
    known = np.isfinite(values) & (weights > 0)
    if not known.any():
        return otherwise
    order = np.argsort(values[known])
    reached = np.cumsum(weights[known][order]) / weights[known].sum()
    return float(values[known][order][int(np.searchsorted(reached, share))])


@cache
def portfolio() -> Portfolio:
    """What portfolio.toml holds."""
    data = tomllib.loads(files("fallline").joinpath("portfolio.toml").read_text(encoding="utf-8"))
    tasks = data["task"]
    return Portfolio(
        recipes=tuple(data["recipe"]),
        tasks=tuple(task["name"] for task in tasks),
        facts=tuple(Facts.read(task) for task in tasks),
        regret=np.array([task["regret"] for task in tasks], dtype=np.float64),
        cost=np.array([[task["cost"][row["optimizer"]["name"]] for row in data["recipe"]] for task in tasks], dtype=np.float64),
        metrics=tuple(task["metric"] for task in tasks),
        directions=tuple(task["direction"] for task in tasks),
        noise=np.array([task["noise"] for task in tasks], dtype=np.float64),
        settled=np.array([task["settled"] for task in tasks], dtype=np.float64),
        lr_within=data["lr_within"],
        fans=tuple(task["fan_in"] for task in tasks),
        width_exponent=data["width_exponent"],
    )
