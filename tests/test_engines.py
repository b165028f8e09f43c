"""Every engine keeps the contract, and keeps the race's promises when workers die, hang or run out of memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from fallline._errors import FalllineError, RefusedError
from fallline._parts import lane_parts
from fallline._recipe import Part
from fallline.engines import EngineEntry, Goal, Measurement, Trial, _workers, all_engines
from fallline.engines._sharing import Job, next_job, to_halt
from fallline.engines._workers import Worker
from fallline.engines.fused import Fused
from fallline.engines.fused._cohort import Cohort
from fallline.engines.processes import Processes
from fallline.engines.sequential import Sequential
from fallline.testing import engines as contract


def nothing() -> None:
    return None


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", all_engines())
def test_an_engine_keeps_the_contract(name: str, check: Callable[[EngineEntry], None]) -> None:
    check(all_engines()[name])


def test_lanes_with_a_rule_are_fused_and_others_say_why_not() -> None:
    where = contract.bench()
    those = [trial for trial in contract.trials() if trial.recipe.seed == 3]
    with contextlib.closing(Fused(where, 64)) as engine:
        notes = {m.trial: m.note for m in engine.advance([Goal(trial, 5) for trial in those], nothing)}
    for trial in those:
        unfit = lane_parts(trial.recipe)
        assert notes[trial.name] == (f"not fused: {unfit}" if isinstance(unfit, str) else "")
    assert sum(not note for note in notes.values()) > 20


def test_who_waits_at_a_step_joins_the_cohort_that_comes_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    formed: list[tuple[int, int]] = []

    class Watched(Cohort):
        def __init__(self, trainings: Any, programs: Any) -> None:
            super().__init__(trainings, programs)
            formed.append((self.step, len(self.trainings)))

    monkeypatch.setattr("fallline.engines.fused.Cohort", Watched)
    where, those = contract.bench(), [Trial(f"trial {i}", contract.recipe()) for i in range(5)]
    with contextlib.closing(Fused(where, 4)) as engine:
        list(engine.advance([Goal(trial, 20) for trial in those[3:]], nothing))
        goals = [Goal(trial, until) for trial, until in zip(those, (12, 50, 50, 50, 50), strict=True)]
        reached = [(m.trial, m.step) for m in engine.advance(goals, nothing)]
    assert formed == [(0, 2), (0, 3), (12, 2), (20, 4)], "three, of which one leaves at 12; two more join at 20"
    assert sorted(reached) == [("trial 0", 12), *((f"trial {i}", 50) for i in range(1, 5))]


class Opinionated(nn.Module):
    """Whether a unit is on depends on a value, which a batched program cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layer(x)
        return output if float(output.detach().sum()) > 0 else 2 * output


class Counting(nn.Module):
    """A Python number that changes from step to step, which a traced graph would keep as it was."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.calls = nn.Linear(5, 1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        output: Tensor = self.layer(x)
        return output * self.calls


@pytest.mark.parametrize("model", [Opinionated, Counting])
def test_a_model_that_cannot_be_fused_is_trained_alone_with_the_reason(model: type[nn.Module]) -> None:
    where = contract.bench("32", model=model)
    those = [Trial(f"trial {i}", contract.recipe()) for i in range(2)]
    with contextlib.closing(Fused(where, 2)) as engine:
        reached = list(engine.advance([Goal(trial, 5) for trial in those], nothing))
    assert all(m.note.startswith("not fused: ") and m.step == 5 and not m.fault for m in reached), reached
    plain = Sequential(contract.bench("32", model=model)).advance([Goal(trial, 5) for trial in those], nothing)
    assert {m.trial: (m.loss, m.value) for m in reached} == {m.trial: (m.loss, m.value) for m in plain}  # probing has left no trace


# workers that do not live ----------------------------------------------------------------------------------------------------------


def long(steps: int = 2_000) -> list[Trial]:
    """Two trials of a second or so."""
    slow = contract.recipe(steps=steps, evaluations=1, optimizer=Part("sgd", {"lr": 1e-3, "l2": 0.0}))
    return [Trial(f"trial {i}", slow) for i in range(2)]


def test_a_worker_that_is_killed_is_replaced_and_its_trial_ends_the_same() -> None:
    where, those = contract.bench(), long()
    wanted = {m.trial: m.value for m in Sequential(where).advance([Goal(trial, 2_000) for trial in those], nothing)}
    killed: list[int] = []
    with contextlib.closing(Processes(where, 2)) as engine:

        def kill() -> None:
            if len(killed) < 2 and (not killed or engine._workers[0].pid not in killed):
                killed.append(engine._workers[0].pid)
                os.kill(killed[-1], signal.SIGKILL)

        came = {m.trial: m.value for m in engine.advance([Goal(trial, 2_000) for trial in those], kill)}
    assert len(killed) == 2
    assert came == wanted


def test_a_trial_whose_workers_die_again_and_again_is_a_measurement_with_a_reason() -> None:
    class Deadly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.calls = nn.Linear(5, 1), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 3:
                os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory is short
            return self.layer(x)  # type: ignore[no-any-return]

    where = contract.bench("32", model=Deadly)
    with contextlib.closing(Processes(where, 2)) as engine:
        reached = list(engine.advance([Goal(trial, 100) for trial in long()], nothing))
    assert [m.fault for m in reached] == ["killed: its process was ended by signal 9, 3 times; out of memory?"] * 2
    assert not any(m.value for m in reached)


def test_a_trial_that_hangs_is_ended_and_its_neighbour_is_not() -> None:
    def make() -> nn.Module:
        class Sleepy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = nn.Linear(5, 1)

            def forward(self, x: Tensor) -> Tensor:
                if float(self.layer.weight.detach().abs().max()) > 100:
                    time.sleep(60)
                return self.layer(x)  # type: ignore[no-any-return]

        return Sleepy()

    where = contract.bench("32", model=make)
    calm, wild = long(60)
    wild = replace(wild, recipe=replace(wild.recipe, optimizer=Part("sgd", {"lr": 30.0, "l2": 0.0})))
    with contextlib.closing(Processes(where, 2, hang_s=0.7)) as engine:
        reached = {m.trial: m for m in engine.advance([Goal(trial, 60) for trial in (calm, wild)], nothing)}
    assert reached[wild.name].fault == "hung: no step within 0.7 s"
    assert reached[calm.name].value is not None


def test_an_error_that_ends_the_race_comes_through_from_a_worker() -> None:
    def loop(*_: object) -> None:
        return None

    where = contract.bench("32", loop=loop)
    with contextlib.closing(Processes(where, 2)) as engine, pytest.raises(RefusedError, match="made no optimizer step"):
        list(engine.advance([Goal(trial, 10) for trial in long()], nothing))


def test_a_loop_of_the_users_own_ends_the_same_when_lanes_are_scarce() -> None:
    def loop(model: nn.Module, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        for inputs, target in loader:
            optimizer.zero_grad()
            loss(model(inputs), target).backward()
            optimizer.step()

    where = contract.bench("32", loop=loop)
    slow = contract.recipe(steps=3_000, evaluations=1, optimizer=Part("sgd", {"lr": 1e-3, "l2": 0.0}))
    goals = [Goal(Trial(f"trial {i}", replace(slow, seed=i)), 3_000) for i in range(3)]
    wanted = {m.trial: (m.value, m.step) for m in Sequential(where).advance(goals, nothing)}
    with contextlib.closing(Processes(where, 2)) as engine:
        assert {m.trial: (m.value, m.step) for m in engine.advance(goals, nothing)} == wanted


def test_all_lanes_are_timed_together_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[int] = []
    send = Worker.send
    monkeypatch.setattr(Worker, "send", lambda worker, order: (orders.append(worker.pid), send(worker, order))[1])
    with contextlib.closing(Processes(contract.bench("32"), 2)) as engine:
        for _ in range(2):
            assert len([pace for pace in engine.paces(contract.recipe(), 0.02) if pace]) == 2
    assert sorted(orders.count(pid) for pid in set(orders)) == [2, 2]


def test_workers_end_with_the_engine_and_with_their_parent() -> None:
    program = (
        "import os, sys, time\nfrom fallline.testing import engines as contract\nfrom fallline.engines import Goal, Trial\n"
        "from fallline.engines.processes import Processes\nengine = Processes(contract.bench('32'), 2)\n"
        "slow = contract.recipe(steps=10**6, evaluations=1)\n\n"
        "def pulse():\n    print(*[worker.pid for worker in engine._workers], flush=True)\n    time.sleep(0.2)\n\n"
        "list(engine.advance([Goal(Trial(str(i), slow), 10**6) for i in range(2)], pulse))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        parent.kill()
    until = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_processes_that_are_started_anew_give_the_same_numbers_as_forked_ones() -> None:
    where, those = contract.bench(), long(60)
    ends = []
    for fork in (True, False):
        with contextlib.closing(Processes(where, 2, fork=fork)) as engine:
            ends.append({m.trial: m.value for m in engine.advance([Goal(trial, 60) for trial in those], nothing)})
    assert ends[0] == ends[1]


def test_processes_that_are_started_anew_load_torch_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    start, ship = _workers.started, Connection.send_bytes
    monkeypatch.setattr(_workers, "started", lambda: (events.append("started"), start())[1])
    monkeypatch.setattr(Connection, "send_bytes", lambda pipe, data: (events.append("sent its workbench"), ship(pipe, data))[1])
    with contextlib.closing(Processes(contract.bench("32"), 2, fork=False)) as engine:
        assert len(list(engine.advance([Goal(trial, 60) for trial in long(60)], nothing))) == 2
    assert events == ["started"] * 2 + ["sent its workbench"] * 2


class Over(FalllineError):
    """As a deadline is."""


def test_what_dead_workers_and_waiting_trials_have_cost_is_counted() -> None:
    those = long(10**6)
    began = time.monotonic()
    killed: list[int] = []
    with contextlib.closing(Processes(contract.bench(), 2)) as engine:

        def pulse() -> None:
            if not killed and time.monotonic() - began > 0.7:
                killed.append(engine._workers[0].pid)
                os.kill(killed[0], signal.SIGKILL)
            if time.monotonic() - began > 1.4:
                raise Over

        stopped: list[Measurement] = []
        with pytest.raises(Over):
            stopped.extend(engine.advance([Goal(trial, 10**6) for trial in those], pulse))  # keeps what came before the exception
        halted = {m.trial: m for m in stopped}
        at = {trial.name: int(engine.state(trial.name)["step"]) for trial in those}
    assert {m.halted for m in stopped} == {True}
    extra = [halted[name].steps - step for name, step in at.items()]
    assert min(extra) == 0, "the trial whose worker lived: every step once"
    assert max(extra) > 0, "the trial whose worker died has made steps twice"


# sharing lanes -------------------------------------------------------------------------------------------------------------------------


def wall(lengths: list[float], lanes: int, tick: float = 0.05) -> float:
    """Seconds until trials of these lengths, of which 1,000 steps take one, are all done."""
    waiting = [Job(Goal(Trial(f"trial {i}", contract.recipe()), round(1000 * length)), step_s=1e-3) for i, length in enumerate(lengths)]
    running, clock = list[Job](), 0.0
    while waiting or running:
        while waiting and len(running) < lanes:
            job = next_job(waiting, lanes, 1e-3)
            waiting.remove(job)
            running.append(job)
        clock += tick
        for job in running:
            job.step += round(tick / 1e-3)
        running = [job for job in running if job.step < job.goal.until]
        halted = to_halt(waiting, running, lanes)
        if halted is not None:
            running.remove(halted)
            waiting.append(halted)
    return clock


@given(st.lists(st.floats(1.0, 20.0), min_size=1, max_size=9), st.integers(1, 4))
def test_sharing_lanes_keeps_the_bound_of_every_list_schedule(lengths: list[float], lanes: int) -> None:
    graham = sum(lengths) / lanes + (1 - 1 / lanes) * max(lengths)  # Graham, SIAM Journal on Applied Mathematics 17, 1969
    assert wall(lengths, lanes) <= graham + 0.05 * (len(lengths) + 1)


@pytest.mark.parametrize("lanes", [2, 3, 4])
@pytest.mark.parametrize("count", range(1, 10))
def test_equal_trials_share_lanes_to_within_a_sixteenth_of_the_least_time(count: int, lanes: int) -> None:
    assert wall([10.0] * count, lanes) <= 1.0625 * max(count / lanes, 1) * 10.0 + 0.2


def test_trials_that_were_timed_before_begin_with_the_longest_and_others_in_the_order_given() -> None:
    jobs = [Job(Goal(Trial(name, contract.recipe()), 1000), step_s=step_s) for name, step_s in (("a", 1e-3), ("b", 3e-3), ("c", 2e-3))]
    assert next_job(jobs, 2, 1e-3) is jobs[1]
    jobs[1].step_s = None
    assert next_job(jobs, 2, 1e-3) is jobs[0]


def test_a_lane_changes_hands_only_where_the_move_is_cheap_beside_what_it_saves() -> None:
    waiting, running = (Job(Goal(Trial(name, contract.recipe()), 1000), step=step, step_s=1e-3) for name, step in (("a", 0), ("b", 700)))
    assert to_halt([waiting], [running], 2, move_s=0.01) is running
    assert to_halt([waiting], [running], 2, move_s=0.1) is None, "0.7 s to gain do not pay for 0.1 s of moving"


def test_a_trial_keeps_its_pace_from_stage_to_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [Trial(name, contract.recipe()) for name in ("a", "b", "c")]
    known: list[dict[str, bool]] = []

    def watched(waiting: Sequence[Job], lanes: int, usual_s: float) -> Job:
        known.append({job.goal.trial.name: job.step_s is not None for job in waiting})
        return next_job(waiting, lanes, usual_s)

    monkeypatch.setattr("fallline.engines.processes.next_job", watched)
    with contextlib.closing(Processes(contract.bench(), 2)) as engine:
        list(engine.advance([Goal(trial, 20) for trial in trials], lambda: None))
        assert known[0] == {"a": False, "b": False, "c": False}
        engine.drop("a")
        known.clear()
        list(engine.advance([Goal(trial, 40) for trial in trials], lambda: None))
    assert known[0] == {"a": False, "b": True, "c": True}
