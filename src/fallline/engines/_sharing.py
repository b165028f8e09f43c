"""Sharing lanes: which waiting trial gets a free lane, and when one in training has to give its own up. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from fallline.engines import Goal, Measurement

SLICES = 8  # into which the longest of the last trials is cut: equal ones take within 1/16 of the least time, for few moves
SHORTEST_SLICE_S = 0.1  # five ticks of the engine's clock
UNKNOWN_MOVE_S = 0.025  # until a move was timed: between a small table's 2 ms and a ResNet's 300
MOVE_SHARE = 0.05  # of a slice, at most, that moving a trial to another lane may cost


@dataclass(eq=False)
class Job:
    """A goal on its way: where the trial stands, how fast it is, and what the way has cost so far."""

    goal: Goal
    step: int = 0
    step_s: float | None = None  # measured seconds a step
    spent: Measurement | None = None  # on this way before its lane was taken away
    deaths: int = 0  # of the workers that trained it on this way
    halting: bool = False
    began: tuple[int, float] | None = None  # (step, moment) of the first sign of life in this lane

    def timed(self, step: int, now: float) -> None:
        """A sign of life: the trial has made `step` updates at the moment `now`."""
        self.step = step
        if self.began is None:
            self.began = step, now
        elif step > self.began[0]:
            self.step_s = (now - self.began[1]) / (step - self.began[0])

    def left_s(self, usual_s: float) -> float:
        """Seconds of training still to come; `usual_s` a step where the trial was not timed yet."""
        return max(self.goal.until - self.step, 0) * (usual_s if self.step_s is None else self.step_s)


def usual_step_s(jobs: Collection[Job]) -> float:
    """Seconds a step of a trial that was not timed: the mean of those that were; 1 where none was, for only ratios matter then."""
    timed = [job.step_s for job in jobs if job.step_s is not None]
    return sum(timed) / len(timed) if timed else 1.0


def next_job(waiting: Sequence[Job], lanes: int, usual_s: float) -> Job:
    """First come, first served while nobody knows better; the one with most to come among the last few, and where all are timed."""
    if len(waiting) >= lanes and any(job.step_s is None for job in waiting):
        return waiting[0]
    return max(waiting, key=lambda job: job.left_s(usual_s))


def to_halt(waiting: Sequence[Job], running: Sequence[Job], lanes: int, move_s: float = UNKNOWN_MOVE_S) -> Job | None:
    """The trial whose lane should pass to a waiting one: longest remaining time first, with as few moves as slices allow.

    `move_s`: seconds that a trial takes to leave a lane and to be taken up by another.

    With three equal trials on two lanes, first come first served takes 2 trainings of time; sharing takes 1.5, which is the least
    possible (McNaughton, Management Science 6, 1959).
    """
    if not waiting or not running or len(waiting) >= lanes or any(job.step_s is None for job in running):
        return None
    usual_s = usual_step_s([*waiting, *running])
    longest = max(job.left_s(usual_s) for job in waiting)
    nearest = min(running, key=lambda job: job.left_s(usual_s))
    whole = max(job.goal.until * (usual_s if job.step_s is None else job.step_s) for job in [*waiting, *running])
    ahead = longest - nearest.left_s(usual_s)
    return nearest if not nearest.halting and ahead > max(whole / SLICES, SHORTEST_SLICE_S, move_s / MOVE_SHARE) else None
