"""The process engine: one worker process a lane, one thread each, data shared; the same numbers as the reference at one thread.

Workers keep nothing between two goals: a trial's state lies with the engine as bytes, so that any lane can go on with any trial and a
worker that is killed costs only the way since the last goal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from fallline._bench import Workbench
from fallline._errors import FalllineError
from fallline._machine import cores
from fallline._recipe import Recipe
from fallline.engines import EngineEntry, Goal, Measurement, Trial
from fallline.engines._lane import fresh
from fallline.engines._processes import FORKS, STARTS, Worker, forked, shipped, started
from fallline.engines._sharing import Job, next_job, to_halt, usual_step_s
from fallline.engines._worker import Answer, Beat, Halt, Pace, Raised, Train, packed, unpacked

if TYPE_CHECKING:
    from torch import nn

TICK_S = 0.02  # between looks at the clock while all lanes train
GRACE_S = 1.0  # for a halted lane to finish its step or look; one that is then ended loses the way since its last goal
HANG_S = 600.0  # without a step: longer than any look at valid that a race could pay for
MOST_DEATHS = 3  # of a trial's workers on one way: an accident may happen twice, running out of memory happens again


class Processes:
    """Trials in worker processes. A worker that dies is replaced and its trial goes on from its last goal; one that hangs is killed."""

    name = "processes"

    def __init__(self, bench: Workbench, lanes: int, *, hang_s: float = HANG_S, fork: bool = FORKS) -> None:
        self.bench, self.lanes, self.hang_s = bench, lanes, hang_s
        self._shipped = None if fork else shipped(bench)
        self._states: dict[str, bytes] = {}
        self._steps: dict[str, int] = {}  # where each of them stands
        self._trials: dict[str, Trial] = {}
        self._workers: list[Worker] = []

    # -- the contract ---------------------------------------------------------------------------------------------------------------

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        waiting = [Job(goal, step=self._steps.get(goal.trial.name, 0)) for goal in goals]
        running: dict[Worker, Job] = {}
        self._trials.update((goal.trial.name, goal.trial) for goal in goals)
        try:
            while waiting or running:
                self._hand_out(waiting, running)
                reached = self._hear(waiting, running)
                self._hand_out(waiting, running)  # before the caller looks at what was reached: no lane is idle meanwhile
                yield from reached
                try:
                    pulse()
                except FalllineError:
                    yield from self._halt(running)  # what was reached meanwhile counts
                    raise
                if self.bench.problem.loop is not None:
                    continue  # a loop goes on by whole epochs, so its lane is never taken away within one
                halted = to_halt(waiting, list(running.values()), self.lanes)
                if halted is not None:
                    halted.halting = True
                    next(worker for worker, job in running.items() if job is halted).send(Halt())
        finally:
            self._halt(running)

    def state(self, trial: str) -> dict[str, Any]:
        return unpacked(self._states[trial])

    def adopt(self, trial: Trial, state: dict[str, Any]) -> None:
        self._trials[trial.name] = trial
        self._states[trial.name], self._steps[trial.name] = packed(state), int(state["step"])

    def final(self, trial: str) -> nn.Module:
        training = fresh(self.bench, self._trials[trial])
        training.restore(self.state(trial))
        return training.final()

    def drop(self, trial: str) -> None:
        self._states.pop(trial, None)
        self._steps.pop(trial, None)
        self._trials.pop(trial, None)

    def holds(self, trial: str) -> bool:
        return trial in self._states

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    # -- calibration ------------------------------------------------------------------------------------------------------------------

    def paces(self, recipe: Recipe, seconds: float) -> list[float | None]:
        """Seconds a step of `recipe` in every lane while all lanes train; None for a lane that could not."""
        while len(self._workers) < self.lanes:
            self._worker({})
        for worker in self._workers:
            worker.send(Pace(recipe, seconds))
        return [worker.hear() if worker.connection.poll(self.hang_s) else None for worker in self._workers]

    # -- lanes ------------------------------------------------------------------------------------------------------------------------

    def _worker(self, running: dict[Worker, Job]) -> Worker:
        """A worker that has nothing to do, a new one where there are fewer than lanes."""
        idle = [worker for worker in self._workers if worker not in running]
        if idle and len(self._workers) >= self.lanes:
            return idle[0]
        worker = forked(self.bench, self._workers) if self._shipped is None else started(self._shipped)
        self._workers.append(worker)
        return worker

    def _hand_out(self, waiting: list[Job], running: dict[Worker, Job]) -> None:
        while waiting and len(running) < self.lanes:
            job = next_job(waiting, self.lanes, usual_step_s([*waiting, *running.values()]))
            waiting.remove(job)
            worker = self._worker(running)
            running[worker], job.began = job, None
            worker.send(Train(job.goal, self._states.get(job.goal.trial.name)))

    def _hear(self, waiting: list[Job], running: dict[Worker, Job]) -> list[Measurement]:
        """What lanes say within a tick; goals that were reached, or will never be."""
        by_connection = {worker.connection: worker for worker in running}
        spoke = [by_connection[connection] for connection in wait(list(by_connection), TICK_S)]  # type: ignore[index]  # what was given
        reached = []
        for worker in list(running):
            job = running[worker]
            if worker in spoke:
                measurement = self._heard(worker.hear(), worker, job, waiting, running)
            elif time.monotonic() - worker.heard_at > self.hang_s:
                measurement = self._lost(job, f"hung: no step within {self.hang_s:g} s")
                self._bury(worker, running)
            else:
                continue
            if measurement is not None:
                reached.append(measurement)
        return reached

    def _heard(
        self, said: Answer | Beat | Raised | None, worker: Worker, job: Job, waiting: list[Job], running: dict[Worker, Job]
    ) -> Measurement | None:
        if isinstance(said, Beat):
            job.timed(said.step, said.at)
            return None
        if isinstance(said, Answer):
            del running[worker]
            return self._answered(said, job, waiting)
        if isinstance(said, Raised):
            del running[worker]
            raise said.error
        how = self._bury(worker, running)
        job.deaths += 1
        if job.deaths < MOST_DEATHS:
            waiting.insert(0, job)
            return None
        return self._lost(job, f"killed: its process was {how}, {MOST_DEATHS} times; out of memory?")

    def _answered(self, said: Answer, job: Job, waiting: list[Job]) -> Measurement | None:
        measurement = said.measurement if job.spent is None else said.measurement.after(job.spent)
        name = measurement.trial
        if said.state is None:
            self._states.pop(name, None)
        else:
            self._states[name], self._steps[name] = said.state, measurement.step
        if not measurement.halted:
            return measurement
        job.spent, job.step, job.halting = measurement, measurement.step, False
        waiting.append(job)
        return None

    def _lost(self, job: Job, fault: str) -> Measurement:
        name = job.goal.trial.name
        self._states.pop(name, None)
        lost = Measurement(trial=name, step=job.step, fault=fault)
        return lost if job.spent is None else lost.after(job.spent)

    def _bury(self, worker: Worker, running: dict[Worker, Job]) -> str:
        running.pop(worker, None)
        self._workers.remove(worker)
        return worker.end()

    def _halt(self, running: dict[Worker, Job]) -> list[Measurement]:
        """Trials in training stop where they are, and their states are kept; gives those that reached their goal all the same."""
        reached = []
        for worker in running:
            worker.send(Halt())
        until = time.monotonic() + GRACE_S
        while running and time.monotonic() < until:
            for worker in [w for w in running if w.connection.poll(TICK_S)]:
                said = worker.hear()
                if isinstance(said, Answer):
                    measurement = self._answered(said, running.pop(worker), [])
                    reached += [] if measurement is None else [measurement]
                elif not isinstance(said, Beat):
                    self._bury(worker, running)
        for worker in list(running):
            self._bury(worker, running)
        return reached


def _refuses(bench: Workbench) -> str:
    if bench.device.type != "cpu":
        return f"trains on the CPU, the device is {bench.device}"
    if cores() < 2:
        return "needs two cores, this process may use one"
    if FORKS:
        return ""
    if not STARTS:
        return "needs Linux or macOS"
    try:
        shipped(bench)
    except ImportError:
        return "needs cloudpickle here, where processes cannot be forked: pip install cloudpickle"
    except Exception as error:  # whatever the user's model or data say to being pickled
        return f"cannot send the problem to another process ({type(error).__name__}: {error})"
    return ""


def _open(bench: Workbench, lanes: int) -> Processes:
    return Processes(bench, lanes)


ENTRY = EngineEntry(
    name="processes",
    title="one process a lane, one thread each",
    open=_open,
    refuses=_refuses,
    processes=True,
)
