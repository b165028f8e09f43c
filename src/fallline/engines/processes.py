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
from fallline.engines._serving import Answer, Beat, Halt, Pace, Raised, Train, packed, unpacked
from fallline.engines._sharing import UNKNOWN_MOVE_S, Job, next_job, to_halt, usual_step_s
from fallline.engines._workers import FORKS, STARTS, Worker, all_started, forked, shipped

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
        self._step_s: dict[str, float] = {}  # seconds a step of each, as last timed
        self._move_s: float | None = None  # the most that moving a trial has cost
        self._trials: dict[str, Trial] = {}
        self._workers: list[Worker] = []

    # -- the contract ---------------------------------------------------------------------------------------------------------------

    def advance(self, goals: Sequence[Goal], pulse: Callable[[], None]) -> Iterator[Measurement]:
        names = [goal.trial.name for goal in goals]
        waiting = [Job(goal, self._steps.get(name, 0), self._step_s.get(name)) for name, goal in zip(names, goals, strict=True)]
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
                    yield from self._halt(running)  # what was reached meanwhile counts, and what the other ways have cost
                    yield from (job.spent for job in waiting if job.spent is not None)
                    raise
                if self.bench.problem.loop is not None:
                    continue  # a loop goes on by whole epochs, so its lane is never taken away within one
                halted = to_halt(waiting, list(running.values()), self.lanes, UNKNOWN_MOVE_S if self._move_s is None else self._move_s)
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
        self._step_s.pop(trial, None)
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
        self._start(self.lanes)
        for worker in self._workers:
            worker.send(Pace(recipe, seconds))
        return [worker.hear() if worker.connection.poll(self.hang_s) else None for worker in self._workers]

    # -- lanes ------------------------------------------------------------------------------------------------------------------------

    def _start(self, count: int) -> None:
        """There are so many workers, or more."""
        missing = count - len(self._workers)
        if self._shipped is not None:
            self._workers += all_started(missing, self._shipped)
            return
        for _ in range(missing):
            self._workers.append(forked(self.bench, self._workers))

    def _hand_out(self, waiting: list[Job], running: dict[Worker, Job]) -> None:
        self._start(min(self.lanes, len(waiting) + len(running)))
        while waiting and len(running) < self.lanes:
            job = next_job(waiting, self.lanes, usual_step_s([*waiting, *running.values()]))
            waiting.remove(job)
            worker = next(worker for worker in self._workers if worker not in running)
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
                measurement = self._lost(job, fault=f"hung: no step within {self.hang_s:g} s")
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
            measurement = self._answered(said, job)
            if not measurement.halted:
                return measurement
            job.spent, job.step, job.halting = measurement, measurement.step, False
            waiting.append(job)
            return None
        if isinstance(said, Raised):
            del running[worker]
            raise said.error
        how = self._bury(worker, running)
        job.deaths += 1
        if job.deaths < MOST_DEATHS:
            job.spent = self._way(job, halted=True)
            job.step = self._steps.get(job.goal.trial.name, 0)
            waiting.insert(0, job)
            return None
        return self._lost(job, fault=f"killed: its process was {how}, {MOST_DEATHS} times; out of memory?")

    def _answered(self, said: Answer, job: Job) -> Measurement:
        measurement = said.measurement if job.spent is None else said.measurement.after(job.spent)
        name = measurement.trial
        if said.measurement.steps:
            self._step_s[name] = (said.measurement.train_s + said.measurement.eval_s) / said.measurement.steps
        if said.state is None:
            self._states.pop(name, None)
        else:
            self._states[name], self._steps[name] = said.state, measurement.step
            self._move_s = max(self._move_s or 0.0, said.moving_s)  # one that began anew was only packed
        return measurement

    def _lost(self, job: Job, fault: str) -> Measurement:
        lost = self._way(job, fault=fault)
        self._states.pop(job.goal.trial.name, None)
        return lost

    def _way(self, job: Job, *, fault: str = "", halted: bool = False) -> Measurement:
        """A way whose worker gave no answer: what its signs of life say that it has cost."""
        name = job.goal.trial.name
        steps = max(job.step - self._steps.get(name, 0), 0)
        way = Measurement(trial=name, step=job.step, steps=steps, train_s=steps * (job.step_s or 0.0), fault=fault, halted=halted)
        return way if job.spent is None else way.after(job.spent)

    def _bury(self, worker: Worker, running: dict[Worker, Job]) -> str:
        running.pop(worker, None)
        self._workers.remove(worker)
        return worker.end()

    def _halt(self, running: dict[Worker, Job]) -> list[Measurement]:
        """Trials in training stop where they are, and their states are kept; gives what their ways have cost, reached goals included."""
        ways = []
        for worker in running:
            worker.send(Halt())
        until = time.monotonic() + GRACE_S
        while running and time.monotonic() < until:
            for worker in [w for w in running if w.connection.poll(TICK_S)]:
                said, job = worker.hear(), running[worker]
                if isinstance(said, Answer):
                    ways.append(self._answered(said, running.pop(worker)))
                elif isinstance(said, Beat):
                    job.timed(said.step, said.at)
                else:
                    ways.append(self._way(job, halted=True))
                    self._bury(worker, running)
        for worker, job in list(running.items()):
            ways.append(self._way(job, halted=True))
            self._bury(worker, running)
        return ways


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
    grace_s=GRACE_S,
)
