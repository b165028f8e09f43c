"""A worker: the far end of a lane in another process. It advances one trial at a time and answers with its measurement and state."""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import torch

from fallline._bench import Workbench
from fallline._errors import FalllineError
from fallline._recipe import Recipe
from fallline._step import start
from fallline.engines import Goal, Measurement
from fallline.engines._lane import Halted, Lane

BEAT_S = 0.05  # between the first signs of life: half of the shortest slice that lanes are shared in
REST_S = 1.0  # between later ones: a pipe takes some 270 unread, so a lane trains on for minutes while nobody listens
WARM_STEPS = 3  # before steps are timed: allocations and first calls


@dataclass(frozen=True)
class Train:
    """Advance a trial to its goal, from a state or from its first step."""

    goal: Goal
    state: bytes | None


@dataclass(frozen=True)
class Pace:
    """Train a recipe from its first step for so many seconds, and say how long a step took."""

    recipe: Recipe
    seconds: float


@dataclass(frozen=True)
class Halt:
    """Stop where you are and answer."""


@dataclass(frozen=True)
class Beat:
    """A sign of life: the trial has made `step` updates."""

    step: int
    at: float  # seconds of the clock that all processes of a machine share


@dataclass(frozen=True)
class Answer:
    """A trial's measurement, and its state unless it failed."""

    measurement: Measurement
    state: bytes | None
    moving_s: float = 0.0  # to take the trial up from its state and to put it down again


@dataclass(frozen=True)
class Raised:
    """An error that ends the race: it is for the user to mend."""

    error: FalllineError


def packed(state: dict[str, Any]) -> bytes:
    """A state as bytes, tensors as they are."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, Any]:
    """The state on the CPU, as a run's folder gives it back."""
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def serve(connection: Connection, bench: Workbench) -> None:
    """Answer one order after another until the other end is closed."""
    torch.set_num_threads(1)  # one lane, one thread; more would share a pool that does not survive a fork
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            order = connection.recv()
            if isinstance(order, Train):
                connection.send(_train(connection, bench, order))
            elif isinstance(order, Pace):
                connection.send(paced(bench, order.recipe, order.seconds))
            else:
                assert isinstance(order, Halt), f"expected an order, got {order!r}"  # a halt that came after the answer says nothing


def _train(connection: Connection, bench: Workbench, order: Train) -> Answer | Raised:
    lane = Lane(bench)
    name, beat_at, rest = order.goal.trial.name, 0.0, BEAT_S

    def pulse() -> None:
        nonlocal beat_at, rest
        now = time.monotonic()
        if now - beat_at >= rest:
            beat_at, rest = now, min(1.05 * rest, REST_S)
            connection.send(Beat(lane.step(name), now))
        if connection.poll():
            order = connection.recv()
            assert isinstance(order, Halt), f"a lane in training takes only Halt, got {order}"
            raise Halted

    began = time.perf_counter()
    try:
        if order.state is not None:
            lane.adopt(order.goal.trial, unpacked(order.state))
        moving_s = time.perf_counter() - began
        measurement = lane.run(order.goal, pulse)
    except FalllineError as error:
        return Raised(error)
    began = time.perf_counter()
    state = None if measurement.fault or not lane.holds(name) else packed(lane.state(name))
    return Answer(measurement, state, moving_s + time.perf_counter() - began)


def paced(bench: Workbench, recipe: Recipe, seconds: float) -> float | None:
    """Seconds a training step of `recipe` from its first step on; None where it cannot be trained."""
    try:
        training = start(bench, recipe)
        training.run(WARM_STEPS)
        began = time.perf_counter()
        while time.perf_counter() - began < seconds and not training.ended:
            training.run(training.step + 1)
        return (time.perf_counter() - began) / max(training.step - WARM_STEPS, 1)
    except Exception:  # diverged, out of memory, or whatever a recipe does on this model: the race will find out and say so
        return None


def main(descriptor: int) -> None:
    """The body of a process that was not forked: it is sent the import path, then the workbench."""
    import cloudpickle

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    with Connection(descriptor) as connection:
        sys.path[:] = connection.recv()
        serve(connection, cloudpickle.loads(connection.recv_bytes()))
