"""Arm: one of the set-ups that `fix` compares, trained to its end as any training is, and how two of them are compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from fallline._bench import Workbench
from fallline._budget import DeadlineReached
from fallline._errors import FalllineError, InterruptedRun
from fallline._judge import link_of
from fallline._machine import cores
from fallline._plan import resamples_for, threads_for
from fallline._planning import length_of
from fallline._portfolio import Facts, portfolio
from fallline._prior import baseline
from fallline._problem import Problem
from fallline._recipe import Frame, Recipe
from fallline._setting import Setting, prepare, threads
from fallline._verdict import BETTER, NO_DIFFERENCE, WORSE, Comparison, Outputs, SeedNoise, assumed_noise, compare, measured_noise
from fallline.changes import Change
from fallline.engines import Goal, Trial
from fallline.engines._lane import Lane

SEEDS = (0, 1)  # offsets: of the first training, and of the one that shows what another seed does
MORE = (2, 3)  # of two more, where two leave open what they promise
UNCHOSEN = (*SEEDS[1:], *MORE)  # the first picked the best of all that was tried; left in the mean, it would prove 5 % of what does nothing


@dataclass
class Arm:
    """A set-up with the changes that made it of the user's; `values` are on the deciding split, by seed."""

    problem: Problem
    changes: tuple[Change, ...] = ()
    fault: str = ""  # why it has no value
    setting: Setting | None = None
    recipe: Recipe | None = None
    values: dict[int, float] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)  # on the split that reports, by seed
    length: int = 0  # updates of its whole training, whether it comes to its end or not
    outputs: dict[str, Outputs] = field(default_factory=dict)  # of the first training, on valid and audit
    late: bool = False  # the time was over before it had ended

    @property
    def value(self) -> float | None:
        return self.values.get(SEEDS[0])

    def better_than(self, other: Arm) -> bool:
        """By the value on the deciding split alone; what has a value is better than what has none."""
        if self.value is None or other.value is None or self.setting is None:
            return self.value is not None and other.value is None
        sign = self.setting.judge.sign
        return sign * self.value < sign * other.value

    @property
    def many(self) -> bool:
        """Whether it was trained from all seeds, so that its noise is measured and a mean is what counts."""
        return all(offset in known for known in (self.values, self.reported) for offset in (*SEEDS, *MORE))


@dataclass
class Arms:
    """Trains arms and compares them, all on the same splits, seeds and looks."""

    seed: int
    device: str | None
    on_audit: bool  # valid cannot judge all changes: one half of audit decides and the other reports
    reports_audit: bool  # an audit split was given or carved off; else valid reports too
    pulse: Callable[[], None]
    updates: float = 0.0  # of all trainings so far
    first_length: int = 0  # of the first training that could be planned

    def train(self, problem: Problem, changes: tuple[Change, ...] = ()) -> Arm:
        """The set-up with these changes, trained from the first seed; what fails on the way is the arm's fault."""
        arm = Arm(problem, changes)
        try:
            for change in changes:
                arm.problem = change.make(arm.problem)
            arm.setting = prepare(_whole(arm.problem), seed=self.seed, device=self.device)
        except InterruptedRun:
            raise
        except FalllineError as error:
            arm.fault = str(error)
        except Exception as error:  # whatever the user's parts raise once they are changed
            arm.fault = f"raised {type(error).__name__}: {error}"
        else:
            self.again(arm, SEEDS[0])
        return arm

    def again(self, arm: Arm, offset: int) -> None:
        """Train an arm from another seed."""
        setting = arm.setting
        if setting is None or offset in arm.values or (offset and arm.fault):
            return
        length, count = length_of(setting), threads_for(setting.profile, cores())
        recipe = baseline(arm.problem, setting.profile, Frame(length, self.seed + offset, 1, 0, count), setting.steps_per_epoch)
        bench = setting.bench_of(0, recipe.seed)
        try:
            with threads(count):
                network, steps, length, fault = trained(bench, recipe, self.pulse)
                self.updates += steps
                arm.length = arm.length or length
                self.first_length = self.first_length or length
                if network is not None:
                    found = {split: _given(bench, network, recipe, split) for split in ("valid", "audit")}
                    arm.values[offset] = self._value(setting, found, decides=True)
                    arm.reported[offset] = self._value(setting, found, decides=False)
        except DeadlineReached:
            arm.fault, arm.late = ("the time was over", True) if not offset else (arm.fault, True)
            return
        except InterruptedRun:
            raise
        except Exception as error:  # the user's metric, on what the model gives now
            fault = f"raised {type(error).__name__}: {error}"
        value = arm.values.get(offset)
        if value is not None and not math.isfinite(value):
            fault = f"the metric is {value}"
            del arm.values[offset]
        if not math.isfinite(arm.reported.get(offset, 0.0)):
            del arm.reported[offset]
        if offset:
            return
        arm.fault = fault
        if not fault:
            arm.recipe, arm.outputs = replace(recipe, steps=steps if arm.problem.loop is not None else recipe.steps), found

    def updates_of_more(self, *arms: Arm) -> int:
        """Updates that training these from two more seeds takes."""
        return sum(arm.length * sum(offset not in arm.values for offset in MORE) for arm in arms)

    def on_more_seeds(self, mine: Arm, theirs: Arm) -> None:
        """Train both from two more seeds, where both seeds so far say that `mine` is better and the noise of two leaves it open."""
        comparison = self.compared(mine, theirs)
        known = [offset for offset in SEEDS if offset in mine.values and offset in theirs.values]
        if comparison is None or len(known) < len(SEEDS):
            return
        sign = -1.0 if comparison.direction == "min" else 1.0
        if all(sign * mine.values[offset] > sign * theirs.values[offset] for offset in known):
            for arm in (theirs, mine):
                for offset in MORE:
                    self.again(arm, offset)

    def _value(self, setting: Setting, found: dict[str, Outputs], *, decides: bool) -> float:
        outputs, targets, _ = self._part(setting, found, decides=decides)
        return setting.judge.value(outputs.outputs, targets, outputs.link)

    def _part(self, setting: Setting, found: dict[str, Outputs], *, decides: bool) -> tuple[Outputs, Tensor, Any]:
        """Outputs, targets and units of what decides, or of what reports."""
        split = "audit" if self.on_audit or (self.reports_audit and not decides) else "valid"
        bench, units = setting.bench_of(0, self.seed), setting.data.audit_units if split == "audit" else setting.data.valid_units
        outputs, targets = found[split], bench.targets(split)
        if self.on_audit:
            rows = torch.arange(0 if decides else 1, len(targets), 2)
            outputs, targets = replace(outputs, outputs=outputs.outputs[rows]), targets[rows]
            units = None if units is None else units[rows.numpy()]
        return outputs, targets, units

    def compared(self, mine: Arm, theirs: Arm, *, reports: bool = False, seeds: bool = True) -> Comparison | None:
        """How much `mine` differs from `theirs`, by the judge of mine; None where one of them has no value.

        Args:
            reports: on what reports instead of on what decides.
            seeds: the interval covers what another seed does.
        """
        if mine.setting is None or theirs.setting is None or mine.value is None or theirs.value is None:
            return None
        outputs, targets, units = self._part(mine.setting, mine.outputs, decides=not reports)
        others, their_targets, _ = self._part(theirs.setting, theirs.outputs, decides=not reports)
        if len(their_targets) != len(targets):
            return None
        judge = mine.setting.judge
        others = _said_alike(others, theirs.setting.judge.output_kind, judge.output_kind, judge.task)
        resamples = resamples_for(len(targets))
        known = partial(compare, judge, outputs, others, targets, units=units, resamples=resamples, seed=self.seed)
        if seeds and mine.many and theirs.many:
            means, noise = _over_seeds(mine, theirs, reports=reports)
            return known(noise=noise, values=means)
        return known(noise=self.noise(mine, theirs) if seeds else None)

    def noise(self, mine: Arm, theirs: Arm) -> SeedNoise | None:
        """What another seed does, at the level of each of both, where two seeds of either are known."""
        pairs = {id(arm): tuple(arm.values[offset] for offset in SEEDS) for arm in (mine, theirs) if all(o in arm.values for o in SEEDS)}
        found = []
        for arm in (mine, theirs):
            known = [pairs[id(arm)]] if id(arm) in pairs else list(pairs.values())
            assert arm.setting is not None
            metric, facts = arm.setting.judge.metric, Facts.of(arm.setting.profile)
            usual, _ = portfolio().seed_noise(facts, metric.name, metric.direction)
            noise = assumed_noise([(pair[0], pair[1]) for pair in known], metric.direction, arm.value or 0.0, usual)
            found += [noise] if noise is not None else []
        if not found:
            return None
        variance = sum(noise.variance for noise in found) / len(found)
        return SeedNoise(variance, found[0].df, len(SEEDS), assumed=True)

    def status(self, mine: Arm, theirs: Arm, comparison: Comparison | None) -> str:
        """Better, no difference shown or worse; what trains to a value is better than what does not, by no number."""
        if comparison is not None:
            return comparison.status
        if mine.value is None:
            return WORSE if theirs.value is not None else NO_DIFFERENCE
        return BETTER if theirs.value is None else NO_DIFFERENCE


def trained(bench: Workbench, recipe: Recipe, pulse: Callable[[], None]) -> tuple[nn.Module | None, int, int, str]:
    """(the trained model, updates made, updates planned, why there is no model).

    A loop of the user's own runs as many epochs as the problem says.

    Raises:
        DeadlineReached, InterruptedRun: what `pulse` raises.
    """
    lane, loop = Lane(bench), bench.problem.loop is not None
    trial, length = Trial("arm", recipe), recipe.end
    try:
        reached = lane.run(Goal(trial, 1 if loop else recipe.end), pulse)
        if loop and not reached.fault:  # how many updates its epoch makes is the loop's own affair
            epochs = max(round(recipe.steps / max(bench.data.batches(0, bench.device).per_epoch // bench.problem.accumulate, 1)), 1)
            length = min(reached.step * epochs, recipe.end)
            reached = lane.run(Goal(trial, length), pulse)
    except (DeadlineReached, InterruptedRun):
        raise
    except FalllineError as error:  # a loop that makes no update
        return None, lane.step("arm"), length, str(error)
    return (None if reached.fault else lane.final("arm")), reached.step, length, reached.fault


def _over_seeds(mine: Arm, theirs: Arm, *, reports: bool) -> tuple[tuple[float, float], SeedNoise | None]:
    """The means of two arms over the seeds that had no say in what was tried further, and what seeds do to such a mean, as measured."""
    groups = [[(arm.reported if reports else arm.values)[offset] for offset in UNCHOSEN] for arm in (mine, theirs)]
    noise = measured_noise(groups, len(groups[0]))
    means = (sum(groups[0]) / len(groups[0]), sum(groups[1]) / len(groups[1]))
    return means, None if noise is None else replace(noise, variance=noise.variance / len(groups[0]))


def _whole(problem: Problem) -> Problem:
    """Nothing is carved off where a split that decides is given: it reports too, and that is said."""
    return replace(problem, audit=problem.valid) if problem.valid is not None and problem.audit is None else problem


def _given(bench: Workbench, network: nn.Module, recipe: Recipe, split: str) -> Outputs:
    outputs, _ = bench.outputs(network, split)
    return Outputs(outputs, link_of(recipe, bench.problem))


def _said_alike(given: Outputs, kind: str, wanted: str, task: str) -> Outputs:
    """Outputs of another kind as the judge of this one reads them: probabilities as logits, or the other way round."""
    if kind == wanted or given.link is not None:
        return given
    outputs, several = given.outputs, task in ("multiclass", "sequence")
    if wanted == "real":
        return replace(given, outputs=outputs if kind == "log-probability" else outputs.logit(eps=1e-6))
    if wanted == "log-probability":
        return replace(given, outputs=outputs.log_softmax(dim=1))
    return replace(given, outputs=outputs.softmax(dim=1) if several else outputs.sigmoid())
