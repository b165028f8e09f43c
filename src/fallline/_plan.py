"""Plan: what a race will do, in steps, decided and printed before it runs. The same plan, seed, machine and torch give the same verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fallline._budget import spoken
from fallline._constraints import Constraints
from fallline._counted import counted
from fallline._errors import UsageError
from fallline._prior import Candidate
from fallline._profile import Profile
from fallline._recipe import Recipe

DEFAULT_PRICE = 3.5
SCHEMA = 2  # of plan.json; 1 let finalists go at half the length, without saying where
FEW_EXAMPLES = 500  # in all; below that one split cannot decide
LEAST_STEPS = 30  # of rung one: a tenth of the shortest training that was recorded, where it ranks as well as a fifth (benchmarks/price)
SHORTEST = 100  # updates; below that no setting of an optimizer shows
LOOKS = 20  # looks at valid during a training: every 5 % of the length; plateau schedules read the metric as often
RARE_EXAMPLES = 10  # expected of the second commonest class in every look: with ten, none is drawn once in 22,000 races
FEW_LOOKS = 10  # where so many of LEAST_ROWS would cost more than EVAL_SHARE: every 10 %, so that rung one and weeding keep theirs
LEAST_ROWS = 256  # fewer examples rank by chance
EVAL_SHARE = 0.05  # of a training's passes may go into looks, so that races keep to 8 % with their rungs and ends
BIG_STEP_FLOPS = 4e8  # from here on a step gains from a second thread; below it loses (measured, docs/architecture.md)


@dataclass(frozen=True)
class Shape:
    """How many candidates a price buys, and how far they go."""

    price: float
    recipes: int  # from the portfolio, with the first loss
    second_losses: int  # more losses for the portfolio's first
    finish: int  # of the candidates that are trained in full
    baseline_finishes: bool
    weeding: float = 0.0  # the share of the length at which finalists that are behind the leader stop; 0: they do not
    behind: float = 0.2  # by so much of the leader's lead over the baseline; less would cost dear plans 0.01 to 0.02 of regret
    middle_keep: int = 0  # how many go on to a second rung at 30 %; 0: no second rung
    child: bool = False  # the leader at rung one also goes on with a third of its lr
    seeds: int = 1  # seeds of the baseline and of the `seeded` best finalists
    seeded: int = 2  # the winner and who might have won: what differs is measured on both
    rounds: int = 0  # rounds of draws around the incumbents
    draws: int = 4  # candidates a round, one of them finished
    splits: int = 0  # further splits on which winner and baseline are trained again; only where examples are few


# Several recipes to a tenth and few to the end: what each count is worth stands in benchmarks/price/README.md.
SHAPES = (
    Shape(1.0, recipes=1, second_losses=0, finish=1, baseline_finishes=False),
    Shape(2.0, recipes=2, second_losses=0, finish=1, baseline_finishes=True),
    Shape(
        3.5, recipes=3, second_losses=1, finish=2, baseline_finishes=True, weeding=0.3, behind=0.05
    ),  # behind=0.2 would take 0.17 trainings more, for 0.003 to 0.005 of regret (benchmarks/price/README.md)
    Shape(
        8.0, recipes=11, second_losses=4, finish=3, baseline_finishes=True, weeding=0.5, middle_keep=6, child=True, seeds=2, seeded=1
    ),  # a second finalist's second seed would show "better" in 62 % of races instead of 61 (benchmarks/price/seeds.py)
    Shape(20.0, recipes=40, second_losses=4, finish=5, baseline_finishes=True, weeding=0.5, middle_keep=11, child=True, seeds=3, rounds=2),
)
ROUNDED = 0.05  # of a training: a rung is a whole number of steps, up to half a step more than a tenth for each trial
FEWEST = 3  # recipes: where a tenth is too short to judge, rung one costs more and dear plans take fewer, but no fewer than the default


def shape_for(price: float) -> Shape:
    """The largest plan that a price buys; above 20 each further 1.4 trainings buy one more round of draws.

    Raises:
        UsageError: less than one plain training.
    """
    if not 1 <= price < math.inf:
        raise UsageError(
            f"price must be at least 1 (one plain training) and finite, got {price:g}; "
            f"the plans are {', '.join(f'{s.price:g}' for s in SHAPES)}"
        )
    shape = max((shape for shape in SHAPES if shape.price <= price), key=lambda shape: shape.price)
    if price > SHAPES[-1].price:
        extra = int((price - SHAPES[-1].price) / 1.4)  # a round: four candidates to a tenth, one of them to the end, and its looks
        shape = replace(shape, price=price, rounds=shape.rounds + extra)
    return shape


def shape_for_few(price: float) -> Shape:
    """The plan where fewer than FEW_EXAMPLES can decide nothing on one split: the default race, then more splits for the rest."""
    default = shape_for(DEFAULT_PRICE)
    return replace(default, price=price, splits=int((price - default.price) / 2))  # winner and baseline, in full, on each


@dataclass(frozen=True)
class Plan:
    """A race before it is run. All decisions that do not depend on results are here."""

    shape: Shape
    length: int  # updates of one full training
    rungs: tuple[int, ...]
    baseline: Recipe
    candidates: tuple[Candidate, ...]
    seed: int
    look_rows: int  # examples of valid looked at during training; all of them at the end
    resamples: int
    threads: int
    engine: str = "sequential"
    lanes: int = 1
    abreast: int = 1  # of the lanes, those that have a core each: processes; fused lanes share one
    figures: Mapping[str, float] = field(default_factory=dict)  # steps a second of each engine that was measured, all lanes together
    seed_noise: float = 0.0  # relative deviation that another seed gives the baseline, on recorded tasks like this
    settled_noise: float = 1.0  # of its variance, what is left to a recipe whose lr falls to its end
    shadow_decay: float | None = None  # rungs judge averaged weights: the data are passed less than three times
    estimate: Mapping[str, float] = field(default_factory=dict)  # work, seconds, memory_bytes, judging_s (of it, resampling)
    notes: tuple[str, ...] = ()
    constraints: Constraints = field(default_factory=Constraints)  # kept by draws too
    made_for: Mapping[str, str] = field(default_factory=dict)  # task, metric

    @property
    def weeding(self) -> int:
        """The step at which finalists behind the leader stop: one of those at which every training looks at valid."""
        return math.ceil(self.shape.weeding * self.length)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON, the shape of plan.json."""
        data = {key: value for key, value in vars(self).items() if key not in ("baseline", "candidates", "shape", "constraints")}
        return {
            "schema": SCHEMA, "price": self.shape.price, "shape": asdict(self.shape), **data,
            "rungs": list(self.rungs), "notes": list(self.notes), "estimate": dict(self.estimate), "made_for": dict(self.made_for),
            "figures": dict(self.figures),
            "constraints": self.constraints.to_dict(), "baseline": self.baseline.to_dict(),
            "candidates": [{**vars(candidate), "recipe": candidate.recipe.to_dict()} for candidate in self.candidates],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """The plan in `data`, as `to_dict` wrote it."""
        if data.get("schema", SCHEMA) != SCHEMA:
            raise UsageError(
                f"this plan has schema {data['schema']}, of another version of fallline; this one reads {SCHEMA}. "
                "Make it anew with `fallline choose --dry-run`"
            )
        try:
            entered = [Candidate(**{**row, "recipe": Recipe.from_dict(row["recipe"])}) for row in data["candidates"]]
            apart = ("shape", "baseline", "candidates", "rungs", "notes", "constraints", "made_for")
            names = {f for f in cls.__dataclass_fields__ if f not in apart}
            return cls(
                shape=Shape(**data["shape"]), baseline=Recipe.from_dict(data["baseline"]), candidates=tuple(entered),
                rungs=tuple(data["rungs"]), notes=tuple(data["notes"]), made_for=dict(data.get("made_for", {})),
                constraints=Constraints.from_dict(data.get("constraints", {})), **{name: data[name] for name in names},
            )  # fmt: skip
        except (KeyError, TypeError) as error:
            raise UsageError(
                f"this is no plan of fallline ({error}); a plan is written by `fallline choose --dry-run` into plan.json"
            ) from error

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """The plan in a plan.json."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"cannot read the plan {path}: {error}") from error

    def lines(self) -> list[str]:
        """The plan in words, a line each."""
        shape, tenth = self.shape, self.rungs[0] / self.length
        work, wall = self.estimate.get("work", 0.0), self.estimate.get("seconds", 0.0)
        trainings = f"about {work:.1f} plain trainings of {counted(self.length, 'step')}, about {spoken(wall)}"
        said = [f"plan {shape.price:g}: {counted(len(self.candidates), 'candidate')}, {trainings}"]
        said.append(f"engine {self.engine}: {self._engine()}")
        if shape.baseline_finishes:
            best = "the best" if shape.finish == 1 else f"the best {shape.finish}"
            said.append(f"all run to step {self.rungs[0]:,} ({tenth:.0%}); {best} and the baseline run to the end")
        else:
            said.append(f"the candidate runs to the end, the baseline to step {self.rungs[0]:,} ({tenth:.0%}), where the two are compared")
        if shape.middle_keep:
            child = ", the leader also with a third of its lr" if shape.child else ""
            said.append(f"{shape.middle_keep} go on to step {self.rungs[1]:,}{child}")
            best = "the best finalist" if shape.seeded == 1 else f"the best {shape.seeded} finalists"
            said.append(f"{best} and the baseline run {shape.seeds} seeds to the end")
        if shape.weeding:
            lost = f"{shape.behind:.0%} of the leader's lead over the baseline"
            said.append(f"at step {self.weeding:,} a finalist stops that has lost {lost}, so it may cost less")
        if shape.rounds:
            said.append(f"then {shape.rounds} rounds of {shape.draws} draws around the best")
        if shape.splits:
            said.append(f"then the winner and the baseline are trained on {counted(shape.splits, 'other split')} of the same rows")
        said += self.notes
        return said

    def _engine(self) -> str:
        """The engine in words, with what was measured of it."""
        threads = counted(self.threads, "thread")
        if self.lanes == 1:
            how = f"one trial after another on {threads}"
        elif self.abreast == 1:
            how = f"up to {self.lanes} trials in one program on {threads}"
        else:
            how = f"{self.lanes} trials at a time, each on {threads}"
        measured = ", ".join(f"{name} {pace:,.0f}" for name, pace in self.figures.items())
        return f"{how} (steps a second: {measured})" if measured else how


def rungs_for(length: int, shape: Shape) -> tuple[int, ...]:
    """Rung one is a tenth of the length, raised to LEAST_STEPS but never above a fifth; rung two at 30 %."""
    first = max(round(0.1 * length), LEAST_STEPS)
    first = max(min(first, round(0.2 * length)), 1)
    return (first, max(round(0.3 * length), first + 1)) if shape.middle_keep else (first,)


def narrowed(shape: Shape, length: int) -> Shape:
    """The shape with as many recipes as its price pays for where rung one is more than a tenth of the length, FEWEST at least.

    What a plan takes with a rung of exactly a tenth is its price, whatever its name says. Further rounds of draws pay for themselves.
    """
    rungs, most = rungs_for(length, shape), SHAPES[-1]
    plain = replace(shape, rounds=min(shape.rounds, most.rounds))
    price = max(min(shape.price, most.price), expected_work(plain, 1000, (100, 300), shape.recipes + shape.second_losses))
    count = shape.recipes
    while count > FEWEST and expected_work(plain, length, rungs, count + shape.second_losses) > price + ROUNDED:
        count -= 1
    return replace(shape, recipes=count)


def expected_stages(shape: Shape, length: int, rungs: tuple[int, ...], entered: int) -> list[list[float]]:
    """What a plan takes, looks not counted: a list a stage, in it the plain trainings of each of its trials."""
    first = rungs[0] / length
    middle = rungs[1] / length if shape.middle_keep else first
    stages = [[first] * (entered + 2)]  # the baseline and its second seed are in it
    if shape.middle_keep:
        stages.append([middle - first] * (min(shape.middle_keep, entered) + (1 if shape.child else 0)))
    stages.append([1 - middle] * min(shape.finish, entered) + ([1 - first] if shape.baseline_finishes else []))
    for _ in range(shape.rounds):
        stages += [[first] * shape.draws, [1 - first]]
    if shape.seeds > 1:
        twins = (shape.seeds - 1) * (min(shape.seeded, shape.finish) + 1)
        stages.append([1 - first] + [1.0] * (twins - 1))  # the baseline's second seed was at rung one already
    return stages + [[1.0, 1.0]] * shape.splits


def expected_work(shape: Shape, length: int, rungs: tuple[int, ...], entered: int) -> float:
    """Plain trainings that a plan takes, looks not counted."""
    return sum(sum(stage) for stage in expected_stages(shape, length, rungs, entered))


def in_lanes(trainings: Sequence[float], lanes: int) -> float:
    """The time of a stage in the unit of its trainings: lanes are shared, so they all end together unless one alone takes longer."""
    return max(sum(trainings) / lanes, max(trainings, default=0.0))


def expected_wall(shape: Shape, length: int, rungs: tuple[int, ...], entered: int, lanes: int) -> float:
    """Plain trainings of time that a plan takes in so many lanes, looks not counted. Further splits run one after another."""
    stages = expected_stages(replace(shape, splits=0), length, rungs, entered)
    return sum(in_lanes(stage, lanes) for stage in stages) + 2 * shape.splits


def widest(shape: Shape, entered: int) -> int:
    """The most trials that train at the same time."""
    return max(len(stage) for stage in expected_stages(shape, 100, (10, 30), entered))


def looks_for(length: int, batch_size: int, valid_rows: int) -> int:
    """Looks at valid during a training: fewer where it is so short that even looks at few examples are dear."""
    return LOOKS if _affordable(length, batch_size, LOOKS) >= min(valid_rows, LEAST_ROWS) else FEW_LOOKS


def _affordable(length: int, batch_size: int, looks: int) -> int:
    """Examples a look for which looks together cost EVAL_SHARE of the training's passes; a step is three forward passes."""
    return int(EVAL_SHARE * 3 * length * batch_size / looks)


def look_rows_for(length: int, batch_size: int, valid_rows: int, looks: int = LOOKS, second_share: float = 1.0) -> int:
    """Examples of valid a look reads: those that EVAL_SHARE pays for, LEAST_ROWS at least.

    Decided by counts, not by time, so that the same seed gives the same race on a busy machine.
    """
    rare = math.ceil(RARE_EXAMPLES / second_share)  # where one class alone is drawn, most metrics are NaN
    return min(valid_rows, max(_affordable(length, batch_size, looks), LEAST_ROWS, rare))


def resamples_for(audit_rows: int) -> int:
    """Between 200 and 400 resamples, fewer where each is dear: a standard error from them is known to within 5 and 3.5 %."""
    return int(min(max(2e7 / max(audit_rows, 1), 200), 400))


def threads_for(profile: Profile, available: int) -> int:
    """One thread for small steps, all for large ones; decided by arithmetic, so that floating-point sums do not depend on the clock."""
    return available if profile.flops_per_step >= BIG_STEP_FLOPS else 1
