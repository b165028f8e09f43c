"""Choose: problem -> profile -> plan -> race -> verdict, with the run's folder written on the way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_model

from fallline._budget import Clock, seconds, spoken
from fallline._constraints import Constraints
from fallline._data import Data, default_epochs, open_data
from fallline._errors import InterruptedRun, RefusedError, UsageError
from fallline._journal import write_text
from fallline._judge import Judge, judge_of
from fallline._measure import measure
from fallline._plan import (
    DEFAULT_PRICE, LOOKS, SHAPES, SHORTEST, Plan, Shape, expected_work, look_rows_for, resamples_for, rungs_for, shape_for, threads_for,
)  # fmt: skip
from fallline._prior import MANY_PASSES, baseline, candidates
from fallline._problem import Problem
from fallline._profile import Profile
from fallline._race import Race
from fallline._recipe import Frame
from fallline._result import Verdict, decide, headline, verdict_of
from fallline._run import Run
from fallline._step import Workbench
from fallline.engines.sequential import Sequential
from fallline.metrics import Metric

OVERHEAD_S = 3.0  # of a race beyond its training: measuring, judging, resampling, writing; measured on the tables in benchmarks/tables.md
MARGIN = 1.25  # estimated over measured seconds a step: optimizers and losses differ, and machines are busy
RESERVE_SHARE = 0.06  # of the budget kept back for the cooldown and the end, at least a second

ENGINES = ("auto", "sequential")


@dataclass(frozen=True)
class Setting:
    """A problem made ready: data split, profile measured, judge found; the plan is still open."""

    problem: Problem
    data: Data
    profile: Profile
    judge: Judge
    device: torch.device
    notes: tuple[str, ...]

    def bench(self, plan: Plan) -> Workbench:
        rows = None
        if plan.look_rows < self.data.valid.size:
            generator = torch.Generator().manual_seed(plan.seed)
            rows = torch.randperm(self.data.valid.size, generator=generator)[: plan.look_rows].sort().values
        return Workbench(problem=self.problem, data=self.data, judge=self.judge, device=self.device, look_rows=rows)

    @property
    def steps_per_epoch(self) -> int:
        per_epoch = self.data.batches(0, torch.device("cpu")).per_epoch
        return max(per_epoch // self.problem.accumulate, 1)


def prepare(problem: Problem, *, seed: int = 0, device: str | None = None) -> Setting:
    """Split the data, measure the profile, resolve the metric.

    Raises:
        UsageError, RefusedError: what cannot be trained on, with what to do.
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if where.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda was asked for, but torch sees no CUDA device; leave device out to use the CPU")
    if problem.precision == "16" and where.type != "cuda":
        raise UsageError('precision "16" needs a CUDA device; use "bf16" or "32" on a CPU')
    data = open_data(problem, seed)
    with threads(1):
        profile = measure(problem, data, where, seed=seed)
    cores = os.cpu_count() or 1
    if threads_for(profile, cores) > 1:
        with threads(cores):
            profile = replace(profile, step_s=measure(problem, data, where, seed=seed).step_s)
    epochs = problem.epochs or default_epochs(data.train.size, data.batch_size, profile.model_kind)
    profile = replace(profile, passes=float(epochs))
    judge = judge_of(problem, profile)
    notes = [*problem.origin.notes, *data.notes, f"task {profile.task}, metric {judge.metric.name} ({_better(judge)} is better)"]
    return Setting(problem, data, profile, judge, where, tuple(notes))


def make_plan(
    setting: Setting, *, budget_s: float | None = None, price: float | None = None, seed: int = 0, engine: str = "auto", constraints: Constraints
) -> Plan:
    """The plan that price and budget buy; the length is halved, and said to be, until the budget buys two plain trainings.

    Raises:
        UsageError: not even the shortest plan fits; the message names the budget that would.
    """
    if engine not in ENGINES:
        raise UsageError(f"engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    problem, profile = setting.problem, setting.profile
    length = max(round(profile.passes * setting.steps_per_epoch), 1)
    notes: list[str] = []
    shape = shape_for(DEFAULT_PRICE if price is None else price)
    wanted = shape_for(price) if price is not None else (SHAPES[-1] if budget_s is not None else shape)
    if budget_s is not None:
        shape, length = _within(budget_s, wanted, length, setting, notes)
    rungs = rungs_for(length, setting.steps_per_epoch, shape)
    own_epochs = problem.loop is not None
    look_rows = look_rows_for(length, profile.batch_size, profile.valid_rows)
    frame = Frame(length, seed, LOOKS, look_rows)
    base = baseline(problem, profile, frame)
    entered = candidates(problem, profile, setting.judge, constraints, frame, count=shape.recipes, second_losses=shape.second_losses)
    if constraints.describe():
        notes.append(f"kept as you asked: {constraints.describe()}")
    if own_epochs:
        notes.append("your loop runs by whole epochs; each rung is judged at the first epoch at or after it")
    if profile.valid_rows + profile.audit_rows + profile.rows < 500:
        notes.append("fewer than 500 examples: one split cannot decide, the verdict will say so")
    plan = Plan(
        shape=shape, length=length, rungs=rungs, baseline=base, candidates=tuple(entered), seed=seed,
        look_rows=look_rows, resamples=resamples_for(profile.audit_rows),
        threads=threads_for(profile, os.cpu_count() or 1),
        shadow_decay=max(1 - 100 / length, 0.9) if profile.passes < MANY_PASSES and not own_epochs else None, notes=tuple(notes),
    )  # fmt: skip
    work = expected_work(shape, length, rungs, len(entered))
    estimate = {"work": round(work, 2), "seconds": round(_seconds(work, length, setting), 1), "memory_bytes": profile.memory * (len(entered) + 1)}
    return replace(plan, estimate=estimate)


def _within(budget_s: float, wanted: Shape, length: int, setting: Setting, notes: list[str]) -> tuple[Shape, int]:
    """The largest plan, and the length, that fit a budget."""
    spoken_length = length
    while True:
        for shape in [wanted, *reversed([s for s in SHAPES if s.price < wanted.price])]:
            enough = 2 if wanted.price >= 2 else 1  # below two plain trainings nothing is compared to the end: shorten instead
            if shape.price >= enough and _need(shape, length, setting) <= budget_s:
                if length != spoken_length:
                    notes.append(f"the length is shortened from {spoken_length} to {length} steps, so that the budget of {spoken(budget_s)} buys plan {shape.price:g}")
                return shape, length
        if length // 2 < SHORTEST:
            least = min(SHAPES[:2], key=lambda s: s.price) if wanted.price < 2 else SHAPES[1]
            need = _need(least, max(min(length, SHORTEST), 1), setting)
            raise UsageError(f"a budget of {spoken(budget_s)} is too short even for the smallest plan; about {int(need) + 1}s would do")
        length //= 2


def _need(shape: Shape, length: int, setting: Setting) -> float:
    rungs = rungs_for(length, setting.steps_per_epoch, shape)
    return _seconds(expected_work(shape, length, rungs, shape.recipes + shape.second_losses), length, setting)


def _seconds(work: float, length: int, setting: Setting) -> float:
    looks = LOOKS * setting.profile.eval_s * min(look_rows_for(length, setting.profile.batch_size, setting.profile.valid_rows) / setting.profile.valid_rows, 1)
    return work * (length * setting.profile.step_s * MARGIN + looks) + OVERHEAD_S


def choose(
    problem: Problem,
    *,
    budget: str | float | None = None,
    price: float | None = None,
    seed: int = 0,
    engine: str = "auto",
    device: str | None = None,
    losses: Sequence[str] | None = None,
    out: str | Path | None = None,
    plan: Plan | str | Path | None = None,
    say: Callable[[str], None] | None = None,
    clock: Clock | None = None,
    **constraints: Any,
) -> Verdict:
    """Race candidates on the problem's own data and hand back the best recipe with its trained model.

    Args:
        budget: wall time such as "5m", a hard promise including clean-up; price: work in plain trainings (default 3.5). Both: the tighter.
        seed: of splits, initial weights, batch order and draws.
        losses: names of the losses to race; needed to race losses beside an own one.
        out: the run's folder; None: runs/<date>-<name>.
        plan: a plan, or the path of a plan.json, to run again.
        say: receives one line an event; None: quiet.
        constraints: `optimizer="sgd"`, `lr=0.01`, ... kept by every candidate, the baseline apart.

    Raises:
        UsageError, RefusedError: one message with what to do. InterruptedRun: `clock.stop_asked` was set; the run can be resumed.
    """
    say = say or _quiet
    clock = clock or Clock(None if budget is None else seconds(budget))
    _check_seed(seed)
    kept = Constraints.of(constraints, losses)
    setting = prepare(problem, seed=seed, device=device)
    for note in setting.notes:
        say(note)
    if plan is None:
        chosen = make_plan(setting, budget_s=clock.budget_s, price=price, seed=seed, engine=engine, constraints=kept)
    else:
        chosen = plan if isinstance(plan, Plan) else Plan.load(plan)
    for line in chosen.lines():
        say(line)
    run = Run.create(Path(problem.origin.source).name.split(".")[0] or "problem", out)
    run.write_json("plan.json", chosen.to_dict())
    run.write_json("problem.json", {"facts": facts(setting, chosen), "origin": _origin(problem), "profile": asdict(setting.profile)})
    if problem.origin.preparation is not None:
        run.write_json("preparation.json", problem.origin.preparation)
    run.journal.write("start", seed=seed, budget_s=clock.budget_s, price=chosen.shape.price, device=str(setting.device), notes=list(setting.notes))
    return _raced(setting, chosen, run, clock, say, ())


def resume(run: Run, problem: Problem, *, say: Callable[[str], None] | None = None, clock: Clock | None = None) -> Verdict:
    """Go on with a run after a kill or Ctrl-C, from the last finished rung of every trial."""
    events = run.events()
    start = next((event for event in events if event["event"] == "start"), None)
    if start is None:
        raise UsageError(f"the run {run.folder} stopped before its race began; start it anew with fallline choose")
    plan = Plan.from_dict(run.read_json("plan.json"))
    spent = max((event["spent_s"] for event in events if "spent_s" in event), default=0.0)
    clock = clock or Clock()
    clock.budget_s, clock.began = start["budget_s"], clock.began - spent
    setting = prepare(problem, seed=plan.seed, device=start["device"])
    known = run.read_json("problem.json")["facts"]
    if facts(setting, plan) != known:
        raise RefusedError(f"the data of run {run.folder} have changed since it began ({known['train']} training rows then); start it anew")
    run.journal.write("resume", spent_s=spent)
    return _raced(setting, plan, run, clock, say or _quiet, events)


def _raced(setting: Setting, plan: Plan, run: Run, clock: Clock, say: Callable[[str], None], past: Sequence[Any]) -> Verdict:
    bench = setting.bench(plan)
    if clock.budget_s is not None:
        ending = 4 * setting.profile.eval_s * (1 + setting.profile.audit_rows / setting.profile.valid_rows) + 0.5
        clock.reserve_s = max(RESERVE_SHARE * clock.budget_s, 1.0) + ending
    race = Race(plan, bench, Sequential(bench), run, clock, say, past)
    with threads(plan.threads):
        try:
            race.run()
            decided = decide(race)
        except InterruptedRun as stop:
            run.journal.write("interrupted", spent_s=clock.spent_s)
            best = next(iter(race.leaders()), None)
            so_far = "" if best is None else f" Best so far: {best.trial.name}, {setting.judge.metric.name} {best.value:.5g} after {best.step} steps."
            raise InterruptedRun(f"stopped; nothing that was finished is lost.{so_far}\ngo on with: fallline resume {run.folder}") from stop
        if decided is None:
            faults = "; ".join(f"{entry.trial.name} {entry.reason}" for entry in race.entered.values() if entry.reason)
            raise RefusedError(f"no trial could be trained: {faults or 'the budget ended before the first rung'}")
        step_s = race.seconds_a_step(race.baseline) or setting.profile.step_s
        verdict = verdict_of(race, decided, facts(setting, plan), step_s * plan.length)
        _hand_over(run, race, decided.winner.trial.name, verdict)
    run.journal.write("verdict", spent_s=clock.spent_s, **verdict.document["verdict"], words=headline(verdict.document))
    return verdict


def _hand_over(run: Run, race: Race, winner: str, verdict: Verdict) -> None:
    """Recipe, weights and document on disk; checkpoints have served."""
    temporary = run.folder / "model.safetensors.part"
    save_model(race.model(race.entered[winner]), str(temporary))
    temporary.replace(run.folder / "model.safetensors")
    write_text(run.folder / "recipe.toml", verdict.recipe.to_toml())
    run.write_json("verdict.json", verdict.document)
    for path in (run.folder / "checkpoints").glob("*.pt"):
        path.unlink()


def facts(setting: Setting, plan: Plan) -> dict[str, Any]:
    """The problem as JSON schema 1 has it."""
    profile, judge = setting.profile, setting.judge
    return {
        "task": profile.task, "train": profile.rows, "valid": profile.valid_rows, "audit": profile.audit_rows,
        "metric": judge.metric.name, "direction": judge.metric.direction, "length_steps": plan.length,
        "batch_size": profile.batch_size, "named_metric": isinstance(judge.metric, Metric),
    }  # fmt: skip


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with `count` intra-op threads: a small model's step is faster on one, and sums then come out the same everywhere."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _origin(problem: Problem) -> dict[str, Any]:
    origin = problem.origin
    source = str(Path(origin.source).resolve()) if origin.source else ""
    return {"kind": origin.kind, "source": source, "options": dict(origin.options), "scale": origin.scale, "labels": list(origin.labels)}


def _better(judge: Judge) -> str:
    return "lower" if judge.metric.direction == "min" else "higher"


def _check_seed(seed: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**28:
        raise UsageError(f"seed must be a whole number from 0 to {2**28 - 1}, got {seed!r}")


def _quiet(_: str) -> None:
    return None
