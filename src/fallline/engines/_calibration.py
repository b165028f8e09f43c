"""Calibration: which engine a race runs on, in how many lanes. Decided by a few measured steps among engines that give equal numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from fallline._bench import Workbench
from fallline._counted import counted, sized
from fallline._errors import UsageError
from fallline._machine import cores, free_memory
from fallline._recipe import Recipe
from fallline.engines import EngineEntry, all_engines, engine_entry
from fallline.engines._serving import paced
from fallline.engines.processes import Processes

TIMED_S = 0.02  # of steps at a time: a dozen small ones, or one of a slow model
ROUNDS = 2  # in turn, and the faster counts: what else the machine does only slows a measurement down
WORTH_S = 2.0  # of training below which measuring and starting workers would cost more than they could save
MEMORY_SHARE = 0.8  # of what is free may be planned for; the rest is for data, evaluation and other people
REFERENCE = "sequential"


@dataclass(frozen=True)
class Calibration:
    """The engine of a race, its lanes, threads a lane, and the figures that decided."""

    engine: str
    lanes: int = 1
    abreast: int = 1  # lanes with a core each
    threads: int = 1
    step_s: float | None = None  # seconds a step in a lane while all lanes train; None: not measured
    slowdown: float = 1.0  # how much longer a step takes then than alone
    figures: Mapping[str, float] = field(default_factory=dict)  # engine -> steps a second, all lanes together
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What a race asks of its engine: the most trials at a time, the memory of each, and about how long all of it takes alone."""

    trials: int
    memory: int  # bytes a trial
    seconds: float
    threads: int  # that suit a step which has the machine to itself


def calibrate(bench: Workbench, recipe: Recipe, demand: Demand, asked: str = "auto") -> Calibration:
    """The engine for a race. `asked` is "auto", an engine, or an engine with its lanes ("processes:4").

    "auto" takes only engines whose numbers equal the reference bit for bit. So that equal seeds give equal verdicts, the threads of a lane
    follow from counts, and what is measured decides only between engines that then give the same numbers. What cannot be had is said in a
    note, and the next best is taken.

    Raises:
        UsageError: there is no such engine, or the number of lanes is none.
    """
    name, lanes = _parsed(asked)
    entries = all_engines()
    if name == REFERENCE:
        return Calibration(REFERENCE, threads=demand.threads)
    entry = engine_entry("processes" if name == "auto" else name)
    notes = []
    reason = entry.refuses(bench)
    if reason and name not in ("auto", "processes"):
        notes.append(f"engine {entry.name} {reason}; processes are tried instead")
        entry, lanes = entries["processes"], None
        reason = entry.refuses(bench)
    if reason:
        notes += [f"engine {entry.name} {reason}; trials run one after another"] if name != "auto" or _unexpected(bench) else []
        return Calibration(REFERENCE, threads=demand.threads, notes=tuple(notes))
    count, short = _lanes(entry, demand, lanes)
    notes += short
    if count < 2:
        if lanes == 1:
            notes.append(f"engine {entry.name} in one lane: trials run one after another in this process, as {REFERENCE} does it")
        return Calibration(REFERENCE, threads=demand.threads, notes=tuple(notes))
    if not entry.exact:
        notes.append(f"engine {entry.name} equals `train` of the same recipe within rounding, not bit for bit")
    if name != "auto":
        return Calibration(entry.name, count, abreast=count if entry.processes else 1, notes=tuple(notes))
    if 2 * count > cores() and demand.seconds < WORTH_S:
        return Calibration(REFERENCE, notes=tuple(notes))
    if 2 * count <= cores() and demand.threads > 1:
        # one training can use more of the machine than all lanes together; counts decide, because threads change the numbers
        return Calibration(REFERENCE, threads=demand.threads, notes=tuple(notes))
    return _measured(bench, recipe, demand, entry, count, tuple(notes))


def _measured(bench: Workbench, recipe: Recipe, demand: Demand, entry: EngineEntry, lanes: int, notes: tuple[str, ...]) -> Calibration:
    """Processes, unless one trial after another is as fast."""
    alone, together = [], []
    with contextlib.closing(Processes(bench, lanes)) as engine:
        for _ in range(ROUNDS):
            alone.append(_alone(bench, recipe))
            together.append(_mean(engine.paces(recipe, TIMED_S)))
    if None in alone or None in together:
        return Calibration(REFERENCE, notes=notes)  # the recipe cannot be trained, and the race will say why
    alone_s, pace = min(filter(None, alone)), min(filter(None, together))
    figures = {REFERENCE: round(1 / alone_s, 1), entry.name: round(lanes / pace, 1)}
    if figures[entry.name] < figures[REFERENCE]:
        return Calibration(REFERENCE, step_s=alone_s, figures=figures, notes=notes)
    return Calibration(entry.name, lanes, lanes, 1, step_s=pace, slowdown=max(pace / alone_s, 1.0), figures=figures, notes=notes)


def _mean(paces: Sequence[float | None]) -> float | None:
    measured = [pace for pace in paces if pace is not None]
    return sum(measured) / len(measured) if len(measured) == len(paces) else None


def _alone(bench: Workbench, recipe: Recipe) -> float | None:
    """Seconds a step of one training on one thread: a lane has one, whichever engine it belongs to."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return paced(bench, recipe, TIMED_S)
    finally:
        torch.set_num_threads(before)


def _parsed(asked: str) -> tuple[str, int | None]:
    name, _, lanes = asked.partition(":")
    if name != "auto":
        engine_entry(name)  # an unknown one is refused
    if not lanes:
        return name, None
    if not lanes.isdigit() or int(lanes) < 1 or name in ("auto", REFERENCE):
        raise UsageError(f"engine must be auto, an engine, or one with its number of lanes such as processes:4, got {asked!r}")
    return name, int(lanes)


def _unexpected(bench: Workbench) -> bool:
    """Whether a user would wonder why only one trial runs at a time: on a CPU with cores to spare."""
    return bench.device.type == "cpu" and cores() > 1


def _lanes(entry: EngineEntry, demand: Demand, asked: int | None) -> tuple[int, list[str]]:
    """(lanes, what is said of them): as many as trials, cores and memory allow."""
    most = demand.trials if not entry.processes else min(demand.trials, cores())
    wanted = most if asked is None else asked
    notes = []
    if asked is not None and asked > most and entry.processes:
        use = f"{counted(demand.trials, 'trial')} on {counted(cores(), 'core')} can use {most}"
        notes.append(f"{asked} lanes were asked for, {use}; {most} {'is' if most == 1 else 'are'} taken")
    count = min(wanted, most)
    free = free_memory()
    fitting = count if free is None or not demand.memory else int(MEMORY_SHARE * free) // demand.memory
    if fitting < count:
        lanes = f"{count} lanes need {sized(count * demand.memory)}"
        notes.append(f"{lanes}, {sized(free or 0)} is free; {max(fitting, 1)} {'is' if fitting < 2 else 'are'} taken")
    return max(min(count, fitting), 1), notes
