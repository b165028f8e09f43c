"""The fused engine: many trials of one model in one batched program, each lane with its own optimizer, numbers, loss, schedule and clip.

It pays where a step is so small that Python costs more than arithmetic: many lanes of a very small model on a CPU, more on a GPU. Its
numbers equal the reference's within rounding, not bit for bit. What cannot be fused is trained one after another, and its measurement
says why.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fallline._bench import Diverged, Workbench
from fallline._errors import FalllineError
from fallline._parts import lane_parts, learnt
from fallline._step import Training
from fallline.engines import EngineEntry, Goal, Measurement, Trial
from fallline.engines._lane import Lane, measured, standing, told
from fallline.engines.fused._blocks import Key
from fallline.engines.fused._cohort import Cohort, Unfit
from fallline.engines.fused._program import Program

if TYPE_CHECKING:
    from torch import nn

SPARSE = 0.75  # of a cohort's lanes still in training, below which it is formed anew: tracing again costs some 50 ms


@dataclass(eq=False)
class _Seat:
    """A trial in a cohort, and what its way to the goal cost."""

    goal: Goal
    training: Training
    first: int
    looked_s: float  # seconds spent looking before
    train_s: float = 0.0

    @property
    def seed(self) -> int:
        return self.goal.trial.recipe.seed

    def stopped(self, fault: str, value: float | None = None) -> Measurement:
        """The trial as it stands, with what its way cost."""
        training = self.training
        reached = measured(self.goal.trial.name, training, value, fault)
        return replace(reached, train_s=self.train_s, eval_s=training.eval_s - self.looked_s, steps=training.step - self.first)


class Fused:
    """Cohorts of at most `lanes` trials of one seed that stand at one step, whatever their goals.

    Those that are furthest behind begin. Who waits at a step that a cohort comes to joins it there, in the lanes that others have left; a
    trial at another step would read other batches and draw other dropout, so it cannot.
    """

    name = "fused"

    def __init__(self, bench: Workbench, lanes: int) -> None:
        self.bench, self.lanes = bench, lanes
        self._lane = Lane(bench)
        self._programs: dict[Key, Program] = {}  # tracing takes longer than the first hundred steps

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        waiting: list[_Seat] = []
        for goal in goals:
            unfit = lane_parts(goal.trial.recipe)
            if isinstance(unfit, str):
                yield from self._alone(goal, pulse, note=f"not fused: {unfit}")
                continue
            try:
                training = self._lane.training(goal.trial)
            except FalllineError:
                raise
            except Exception as error:  # whatever the user's model factory raises
                yield Measurement(trial=goal.trial.name, step=0, fault=told(error))
                continue
            assert isinstance(training, Training), "a problem with a loop of its own was refused"
            if learnt(training.loss):
                yield replace(self._lane.run(goal, pulse), note="not fused: its loss learns too")
                continue
            waiting.append(_Seat(goal, training, training.step, training.eval_s))
        while waiting:
            seed = waiting[0].seed
            start = min(seat.training.step for seat in waiting if seat.seed == seed)
            yield from self._together(_boarding(waiting, seed, start, self.lanes), waiting, pulse)

    def _together(self, seats: list[_Seat], waiting: list[_Seat], pulse: Callable[[], None]) -> Iterator[Measurement]:
        """One cohort to its goals. Lanes that reach theirs or fail leave, waiting ones join; a sparse cohort is formed anew."""
        meeting = _meeting(seats, waiting, self.lanes)
        if len(seats) == 1 and meeting is None:
            yield from self._alone(seats[0].goal, pulse)
            return
        try:
            cohort = Cohort([seat.training for seat in seats], self._programs)
        except Unfit as reason:
            for seat in seats:
                yield from self._alone(seat.goal, pulse, note=f"not fused: {reason}")
            return
        try:
            while seats:
                stops = [seat.training.next_look(seat.goal.until) or seat.goal.until for seat in seats]
                meeting = _meeting(seats, waiting, self.lanes)
                began = time.perf_counter()
                try:
                    cohort.run(min(stops) if meeting is None else min(meeting, *stops), pulse)
                except FalllineError:
                    share = (time.perf_counter() - began) / len(seats)
                    yield from (replace(seat.stopped(""), train_s=seat.train_s + share, halted=True) for seat in seats)
                    raise
                except Exception as error:  # whatever the model does on this batch; within a chunk nobody can go on
                    cohort.close()
                    yield from (seat.stopped(told(error)) for seat in seats)
                    return
                share = (time.perf_counter() - began) / len(seats)
                left, reached = [], []
                for seat, stop in zip(seats, stops, strict=True):
                    seat.train_s += share
                    measurement = _looked(seat, stop)
                    if measurement is None:
                        left.append(seat)
                    else:
                        reached.append(measurement)
                if len(left) < SPARSE * len(cohort.trainings) or not all(measurement.fault for measurement in reached):
                    cohort.close()  # who left without a fault has its state asked for
                yield from reached
                if left and left[0].training.step == meeting:
                    cohort.close()
                    left += _boarding(waiting, left[0].seed, meeting, self.lanes - len(left))
                seats = left
                if not seats or not cohort.closed:
                    continue
                try:
                    cohort = Cohort([seat.training for seat in seats], self._programs)
                except Unfit as reason:
                    for seat in seats:
                        note = f"not fused from step {seat.training.step} on: {reason}"
                        yield from self._alone(seat.goal, pulse, seat.stopped(""), note)
                    return
        finally:
            cohort.close()

    def _alone(self, goal: Goal, pulse: Callable[[], None], spent: Measurement | None = None, note: str = "") -> Iterator[Measurement]:
        """A trial by itself, as the reference trains it, after what its way has cost already."""
        for measurement in self._lane.reach(goal, pulse):
            yield replace(measurement if spent is None else measurement.after(spent), note=note)

    def state(self, trial: str) -> dict[str, Any]:
        return self._lane.state(trial)

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        self._lane.adopt(trial, state)

    def final(self, trial: str) -> nn.Module:
        return self._lane.final(trial)

    def drop(self, trial: str) -> None:
        self._lane.drop(trial)

    def holds(self, trial: str) -> bool:
        return self._lane.holds(trial)

    def close(self) -> None:
        """Nothing to end: there is no other process."""


def _boarding(waiting: list[_Seat], seed: int, step: int, room: int) -> list[_Seat]:
    """Those of a seed that wait at a step, as many as there is room for; they wait no more."""
    boarding = [seat for seat in waiting if seat.seed == seed and seat.training.step == step][:room]
    waiting[:] = [seat for seat in waiting if seat not in boarding]
    return boarding


def _meeting(seats: Sequence[_Seat], waiting: Sequence[_Seat], lanes: int) -> int | None:
    """The next step at which others wait that there is a lane for, before all of these have reached their goals."""
    step, end = seats[0].training.step, max(seat.goal.until for seat in seats)
    ahead = [seat.training.step for seat in waiting if seat.seed == seats[0].seed and step < seat.training.step < end]
    return min(ahead, default=None) if len(seats) < lanes else None


def _looked(seat: _Seat, stop: int) -> Measurement | None:
    """Look where a look is due; the measurement where the goal was reached or cannot be."""
    training, fault, value = seat.training, "", None
    try:
        if not math.isfinite(training.last_loss):
            raise Diverged(f"the loss became {training.last_loss} by step {training.step}")
        if training.step < stop:
            return None
        if training.next_look(seat.goal.until) == training.step:
            training.look()
        if training.step < seat.goal.until and not training.ended:
            return None
        value, fault = standing(training)
    except Diverged as error:
        fault = f"diverged: {error}"
    except Exception as error:  # whatever the user's model or metric raises when it is judged
        fault = told(error)
    return seat.stopped(fault, value)


def _refuses(bench: Workbench) -> str:
    if bench.problem.loop is not None:
        return "cannot see into a training loop of your own"
    if bench.problem.precision not in ("32", "64"):
        return f"trains in full precision, the problem asks for {bench.problem.precision}"
    return ""


def _open(bench: Workbench, lanes: int) -> Fused:
    return Fused(bench, lanes)


ENTRY = EngineEntry(
    name="fused",
    title="many trials of one model in one batched program",
    open=_open,
    refuses=_refuses,
    exact=False,
)
