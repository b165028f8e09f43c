"""The race: fill lanes, advance to a rung, ask the policy, write the journal. Finished goals are read from the journal, not run again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fallline._bench import Workbench
from fallline._budget import Clock, DeadlineReached
from fallline._counted import counted
from fallline._cutoff import affordable, cool_down
from fallline._early import draws_left_out, seeds_left_out
from fallline._entered import BASELINE, Entered, shown
from fallline._errors import FalllineError
from fallline._judge import link_of
from fallline._plan import Plan
from fallline._prior import Candidate, calmer, draws, lr_child
from fallline._recipe import Cooldown
from fallline._run import Run
from fallline._rung import going_on
from fallline._verdict import Outputs
from fallline._weeding import weeded
from fallline.engines import Engine, Goal, Measurement, Trial
from fallline.policies.keep_best import KeepBest

if TYPE_CHECKING:
    import torch

MOST_NAMED = 8  # trials in a line of progress: the six of the default plan, and some of the user's
DRAW_PARENTS = 2  # draws vary the two best recipes, so that a lucky leader does not steer alone


class Race:
    """One race over one plan. `run` may be called again in a later process on the same folder: it goes on where it was."""

    def __init__(
        self,
        plan: Plan,
        bench: Workbench,
        engine: Engine,
        run: Run,
        clock: Clock,
        say: Callable[[str], None],
        past: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self.plan, self.bench, self.engine, self.folder, self.clock, self.say = plan, bench, engine, run, clock, say
        self.entered: dict[str, Entered] = {}
        self.cut = False
        self.left_out: list[str] = []  # what was not run because it could not have changed the verdict, in words
        self.variances: dict[tuple[str, str], float] = {}  # of a difference on valid, as other examples would give it
        self.seconds = 0.0  # in `run`: what the lanes were there for
        self._done = {(e["trial"], e["goal"]): e for e in past if e["event"] == "rung"}
        self.cooled = {e["trial"]: Cooldown(e["from_step"], e["steps"]) for e in past if e["event"] == "cooldown"}
        self.unfinished = [Measurement(**e["measurement"]) for e in past if e["event"] == "stopped"]  # ways that the race's end cut off
        self.endgame = next((e for e in past if e["event"] == "endgame"), None)
        self._outputs: dict[tuple[str, str], Outputs] = {}
        self.sign = bench.judge.sign

    # -- the flow -----------------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """All stages of the plan; a deadline ends the stage it falls into, and the incumbent is cooled down in the reserve."""
        began = time.perf_counter()
        try:
            self._stages()
        except DeadlineReached:
            self.cut = True
            cool_down(self)
            for entry in self.entered.values():
                if entry.status != "finished":
                    self.engine.drop(entry.trial.name)  # it is past its last measurement; what is said of it is said of its checkpoint
        finally:
            self.seconds = time.perf_counter() - began

    def _stages(self) -> None:
        plan, shape = self.plan, self.plan.shape
        first = plan.rungs[0]
        baseline = self._enter(Candidate(BASELINE, plan.baseline, "what every claim is made against"))
        field_ = [self._enter(candidate) for candidate in plan.candidates]
        second_seed = self._enter_trial(baseline.trial.reseeded(plan.seed + 1), baseline.candidate)
        self.advance([*field_, baseline, second_seed], first, "rung one")
        field_ += self._calmed(field_, first)
        going = self._cut_down(field_, shape.middle_keep or shape.finish)
        if shape.middle_keep:
            going = self._middle(going, first)
            going = self._cut_down(going, shape.finish)
        going = affordable(self, going)
        self._finish(going, field_)
        if not self.finished():  # what is handed back is always trained to its end
            self.advance([baseline], plan.length, "no candidate could be finished: the baseline, to the end")
        for number in takewhile(lambda _: not draws_left_out(self), range(shape.rounds)):
            self._round(number)
        if shape.seeds > 1 and not seeds_left_out(self):
            self._more_seeds(baseline)

    def _calmed(self, field_: Sequence[Entered], first: int) -> list[Entered]:
        """What diverged before rung one, once more with a tenth of its lr, to rung one: as many as the steps left over pay for."""
        diverged = [entry for entry in field_ if entry.diverged]
        paid = round(sum(first - entry.step for entry in diverged) / first)
        tried = [entry.trial.recipe for entry in field_]
        lower = [calmer(entry.candidate, self.plan.constraints) for entry in diverged]
        fresh = [candidate for candidate in lower if candidate is not None and not any(map(candidate.recipe.nearly, tried))]
        entered = [self._enter(candidate) for candidate in fresh[:paid]]
        self.advance(entered, first, "rung one, with a tenth of the lr where it diverged")
        return entered

    def _finish(self, going: list[Entered], field_: Sequence[Entered]) -> None:
        """The baseline and the finalists to the end; for one that fails on the way the best that had been left behind goes on."""
        first = [self.baseline] if self.plan.shape.baseline_finishes else []
        kept = weeded(self, going) if self.plan.shape.weeding and first and len(going) > 1 else going
        self.advance([*first, *kept], self.plan.length, "to the end")
        failed = [entry for entry in going if entry.status == "failed"]
        while failed:
            left = [other for other in field_ if other.status == "paused" and other.value is not None]
            left.sort(key=lambda other: (-other.step, self.sign * (other.value or 0.0), other.trial.name))
            instead = left[: len(failed)]
            self.advance(instead, self.plan.length, "in place of one that failed, to the end")
            failed = [entry for entry in instead if entry.status == "failed"]

    def _middle(self, going: list[Entered], first: int) -> list[Entered]:
        """Rung two, where the leader also goes on with a third of its lr."""
        if self.plan.shape.child and going:
            leader = going[0]
            if not leader.trial.recipe.optimizer.own and self.bench.problem.loop is None:
                child = lr_child(leader.candidate, first)
                trial = Trial(child.name, child.recipe, self.plan.shadow_decay, parent=leader.trial.name, leaves=first)
                going = [*going, self._enter_trial(trial, child)]
        self.advance(going, self.plan.rungs[1], "rung two")
        return going

    def _round(self, number: int) -> None:
        """Draws around the incumbents, judged at rung one, the best of them finished."""
        parents = [entry.candidate for entry in self.finished()[:DRAW_PARENTS] if not entry.trial.recipe.optimizer.own]
        if not parents:
            return
        around = draws(parents, self.plan.shape.draws, self.plan.seed * 1000 + number, self.plan.constraints)
        drawn = [self._enter(candidate) for candidate in around]
        self.advance(drawn, self.plan.rungs[0], f"round {number + 1} of draws")
        self.advance(self._cut_down(drawn, 1), self.plan.length, f"round {number + 1}, to the end")

    def _more_seeds(self, baseline: Entered) -> None:
        """More seeds of the best finalists and of the baseline, all the way: seed variance is measured then, not assumed."""
        best = [entry for entry in self.finished() if entry is not baseline][: self.plan.shape.seeded]
        twins = []
        for extra in range(1, self.plan.shape.seeds):
            for entry in [baseline, *best]:
                again = entry.trial.reseeded(self.plan.seed + extra)
                twins.append(self.entered.get(again.name) or self._enter_trial(again, entry.candidate))
        self.advance(twins, self.plan.length, "more seeds, to the end")

    # -- who is in it ---------------------------------------------------------------------------------------------------------------

    def _enter(self, candidate: Candidate) -> Entered:
        return self._enter_trial(Trial(candidate.name, candidate.recipe, self.plan.shadow_decay), candidate)

    def _enter_trial(self, trial: Trial, candidate: Candidate) -> Entered:
        entry = Entered(trial, candidate)
        self.entered[trial.name] = entry
        return entry

    @property
    def baseline(self) -> Entered:
        return self.entered[BASELINE]

    def twins(self, name: str) -> list[Entered]:
        """The trials of one candidate at other seeds."""
        return [entry for key, entry in self.entered.items() if key.startswith(f"{name}@")]

    def finished(self) -> list[Entered]:
        """First-seed trials that were trained to their end, best on valid first."""
        done = [entry for key, entry in self.entered.items() if entry.status == "finished" and "@" not in key and entry.value is not None]
        return sorted(done, key=lambda entry: (self.sign * (entry.value or 0.0), entry.trial.name))

    def leaders(self) -> list[Entered]:
        """All first-seed trials with a value, those that came furthest first, then those that did not fall there, then the best."""
        alive = [entry for key, entry in self.entered.items() if "@" not in key and entry.value is not None]

        def rank(entry: Entered) -> tuple[bool, int, bool, float, str]:
            fell_at = entry.fell_at if entry.status == "paused" else None
            reached = entry.step if fell_at is None else fell_at
            return entry.status != "finished", -reached, fell_at is not None, self.sign * (entry.value or 0.0), entry.trial.name

        return sorted(alive, key=rank)

    def _cut_down(self, field_: Sequence[Entered], count: int) -> list[Entered]:
        return going_on(self, KeepBest(count), field_)

    # -- advancing ----------------------------------------------------------------------------------------------------------------

    def advance(self, field_: Sequence[Entered], goal: int, stage: str, ahead: Mapping[str, int] = MappingProxyType({})) -> None:
        """Bring trials to a goal, or to their own end before it: those the journal knows from the journal, the others by the engine.

        `ahead`: by name, the goals of those that go further.
        """
        goals = {entry.trial.name: entry.goal(ahead.get(entry.trial.name, goal)) for entry in field_}
        waiting = []
        for entry in field_:
            event = self._done.get((entry.trial.name, goals[entry.trial.name]))
            if event is not None:
                self._take(entry, Measurement(**event["measurement"]), event.get("final"))
            elif entry.status not in ("failed", "finished"):
                waiting.append(entry)
        if not waiting:
            return
        further = {name: f"{name} (on to step {step:,})" for name, step in ahead.items()}
        names = ", ".join(further.get(entry.trial.name, entry.trial.name) for entry in waiting)
        self.say(f"{stage}: {names if len(waiting) <= MOST_NAMED else counted(len(waiting), 'trial')}")
        for entry in waiting:
            self.ready(entry)
        by_name = {entry.trial.name: entry for entry in waiting}
        for measurement in self.engine.advance([Goal(entry.trial, goals[entry.trial.name]) for entry in waiting], self.clock.pulse):
            if measurement.halted:
                self.folder.journal.write("stopped", measurement=vars(measurement), spent_s=self.clock.spent_s)
                self.unfinished.append(measurement)
                continue
            entry = by_name[measurement.trial]
            measurement, final = self._judged(entry, measurement)
            if not measurement.fault:
                self.folder.save_state(measurement.trial, measurement.step, self.engine.state(measurement.trial))
            facts = {"trial": measurement.trial, "goal": goals[measurement.trial], "measurement": vars(measurement), "final": final}
            self.folder.journal.write("rung", **facts, spent_s=self.clock.spent_s)
            self._take(entry, measurement, final)
            keep = (measurement.step, *[m.step for m in entry.measured if m.step >= self.plan.rungs[0]][:1])
            self.folder.drop_states(measurement.trial, keep=keep)
            if entry.status != "paused":
                self.engine.drop(measurement.trial)  # its outputs are kept, and its state lies in its checkpoint
            reached = f"{self.bench.judge.metric.name} {shown(entry.value)} after {counted(measurement.step, 'step')}"
            remarks = [remark for remark in (measurement.fault, measurement.note) if remark]
            self.say(f"  {measurement.trial}: {', '.join([reached, *remarks])}")

    def _take(self, entry: Entered, measurement: Measurement, final: float | None) -> None:
        entry.measured.append(measurement)
        if measurement.fault:
            entry.status, entry.reason = "failed", measurement.fault
        elif measurement.ended:
            entry.status, entry.final = "finished", final
        else:
            entry.status = "paused"

    def ready(self, entry: Entered) -> None:
        """The engine holds the trial's state: as it was left, from disk after a pause, or from its parent's checkpoint."""
        trial = entry.trial
        if self.engine.holds(trial.name):
            return
        if entry.measured:
            self.engine.adopt(trial, self.folder.load_state(trial.name, entry.step))
        elif trial.parent is not None:
            parent = self.entered[trial.parent].at(trial.leaves)
            assert parent is not None
            self.engine.adopt(trial, self.folder.load_state(trial.parent, parent.step))

    def _judged(self, entry: Entered, measurement: Measurement) -> tuple[Measurement, float | None]:
        """The measurement, and at the end of a training the metric on all of valid; a fault there is a fault of the trial."""
        if measurement.fault or not measurement.ended or measurement.final is not None:
            return measurement, measurement.final
        began, fault, value = time.perf_counter(), "", math.nan
        try:
            outputs = self.outputs(entry, "valid")
            value = self.bench.judge.value(outputs.outputs, self.bench.targets("valid"), outputs.link)
        except FalllineError:
            raise
        except Exception as error:  # whatever the user's model or metric raises on the whole of valid
            fault = f"raised {type(error).__name__}: {error}"
        if not fault and not math.isfinite(value):
            fault = f"diverged: the metric is {value} on all of valid"
        measurement = replace(measurement, eval_s=measurement.eval_s + time.perf_counter() - began, fault=fault)
        return measurement, None if fault else value

    def outputs(self, entry: Entered, split: str, at: int | None = None) -> Outputs:
        """The outputs of a trial's model on a split: of the weights it hands back, or as it stood at step `at`."""
        key = (f"{entry.trial.name}:{at or 'end'}", split)
        if key not in self._outputs:
            outputs, _ = self.bench.outputs(self.model(entry, at), split)
            self._outputs[key] = Outputs(outputs, link_of(entry.trial.recipe, self.bench.problem))
        found = self._outputs[key]
        if "@" in entry.trial.name:  # other seeds are judged once, by their value
            del self._outputs[key]
        return found

    def model(self, entry: Entered, at: int | None = None) -> torch.nn.Module:
        """A trial's trained model."""
        if at is None:
            self.ready(entry)
            return self.engine.final(entry.trial.name)
        earlier = replace(entry.trial, name=f"{entry.trial.name}:{at}")
        self.engine.adopt(earlier, self.folder.load_state(entry.trial.name, at))
        model = self.engine.final(earlier.name)
        self.engine.drop(earlier.name)
        return model
