"""Choose: problem -> profile -> plan -> race -> verdict, with the run's folder written on the way."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_model

from fallline._budget import Clock, seconds
from fallline._constraints import Constraints
from fallline._counted import counted
from fallline._decide import decide
from fallline._document import headline
from fallline._entered import shown
from fallline._errors import InterruptedRun, RefusedError, UsageError
from fallline._fingerprint import fingerprint
from fallline._journal import write_text
from fallline._model import Given
from fallline._plan import Plan
from fallline._planning import check_fits, make_plan, reserve
from fallline._problem import Problem
from fallline._race import Race
from fallline._record import record
from fallline._resplit import over_splits
from fallline._result import Verdict, verdict_of
from fallline._run import Run
from fallline._setting import Setting, prepare, threads
from fallline._weights import digest
from fallline.engines import Engine, engine_entry
from fallline.metrics import Metric

if TYPE_CHECKING:
    from torch import nn

    from fallline._bench import Workbench


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
        plan: a plan, or the path of a plan.json, to run again; it has its price, losses and constraints, a budget may still bound it.
        say: receives one line an event; None: quiet.
        constraints: `optimizer="sgd"`, `lr=0.01`, ... kept by every candidate, the baseline apart.

    Raises:
        UsageError, RefusedError: one message with what to do. InterruptedRun: `clock.stop_asked` was set; the run can be resumed.
    """
    say = say or _quiet
    clock = clock or Clock(None if budget is None else seconds(budget))
    if plan is not None:
        given = [name for name, value in {"price": price, "losses": losses, **constraints}.items() if value is not None]
        if given or engine != "auto":
            named = ", ".join([*given, *(["engine"] if engine != "auto" else [])])
            raise UsageError(f"a plan has its candidates, price and engine already; leave out {named}, or plan")
        plan = plan if isinstance(plan, Plan) else Plan.load(plan)
        seed = plan.seed  # the rows must be split as they were for the plan
    _check_seed(seed)
    kept = Constraints.of(constraints, losses)
    setting = prepare(problem, seed=seed, device=device)
    for note in setting.notes:
        say(note)
    if plan is None:
        chosen = make_plan(setting, clock=clock, price=price, seed=seed, engine=engine, constraints=kept)
    else:
        chosen = plan
        check_fits(chosen, setting)
    for line in chosen.lines():
        say(line)
    there = out is not None and Path(out).is_dir()
    run = Run.create(Path(problem.origin.source).name.split(".")[0] or "problem", out)
    try:
        known = facts(setting, chosen)
        record(run, setting, chosen, known)
        engine_of = {"name": chosen.engine, "lanes": chosen.lanes, "threads": chosen.threads, "steps_a_second": dict(chosen.figures)}
        run.journal.write(
            "start", seed=seed, budget_s=clock.budget_s, price=chosen.shape.price, device=str(setting.device), engine=engine_of,
            notes=list(setting.notes),
        )  # fmt: skip
        say(f"run folder: {run.folder}")
        return _raced(setting, chosen, run, clock, say, (), known)
    except (UsageError, RefusedError):
        if not any(event["event"] == "rung" for event in run.events()):
            run.discard(keep_folder=there)
        raise
    finally:
        run.release()


def resume(run: Run | str | Path, problem: Problem, *, say: Callable[[str], None] | None = None, clock: Clock | None = None) -> Verdict:
    """Go on with a run after a kill or Ctrl-C, from the last finished rung of every trial."""
    run = run if isinstance(run, Run) else Run.open(run)
    try:
        return _resumed(run, problem, say or _quiet, clock or Clock())
    finally:
        run.release()


def _resumed(run: Run, problem: Problem, say: Callable[[str], None], clock: Clock) -> Verdict:
    events = run.events()
    start = next((event for event in events if event["event"] == "start"), None)
    if start is None:
        raise UsageError(f"the run {run.folder} stopped before its race began; start it anew")
    if (run.folder / "verdict.json").exists():
        raise UsageError(f"the race of {run.folder} is over; its verdict is in verdict.json, its weights in model.safetensors")
    plan = Plan.from_dict(run.read_json("plan.json"))
    spent = max((event["spent_s"] for event in events if "spent_s" in event), default=0.0)
    clock.budget_s, clock.began = start["budget_s"], clock.began - spent
    setting = prepare(problem, seed=plan.seed, device=start["device"])
    known = run.read_json("problem.json")["facts"]
    if facts(setting, plan) != known:
        then = counted(known["train"], "training row")
        raise RefusedError(
            f"the data of run {run.folder}, or its model's first weights, have changed since it began ({then} then); start it anew"
        )
    run.journal.write("resume", spent_s=spent)
    return _raced(setting, plan, run, clock, say, events, known)


def _raced(
    setting: Setting, plan: Plan, run: Run, clock: Clock, say: Callable[[str], None], past: Sequence[Any], known: dict[str, Any]
) -> Verdict:
    bench = setting.bench(plan)
    if clock.budget_s is not None:
        clock.reserve_s = reserve(clock.budget_s, setting, plan.engine, plan.estimate.get("judging_s", 0.0))
    engine = _opened(plan, bench, say)
    race = Race(plan, bench, engine, run, clock, say, past)
    with threads(plan.threads), contextlib.closing(engine):
        try:
            race.run()
            decided = decide(race)
            if decided is not None and plan.shape.splits and decided.winner is not race.baseline and not race.cut:
                decided = over_splits(race, decided, setting, past, say)
        except InterruptedRun as stop:
            run.journal.write("interrupted", spent_s=clock.spent_s)
            raise InterruptedRun(f"stopped; nothing that was finished is lost.{_so_far(race)}\n{_how_to_go_on(run, setting)}") from stop
        if decided is None:
            faults = "; ".join(f"{entry.trial.name} {entry.reason}" for entry in race.entered.values() if entry.reason)
            run.journal.write("failed", reason=faults, spent_s=clock.spent_s)
            raise RefusedError(f"no trial could be trained: {faults or 'the budget ended before the first rung'}")
        step_s = race.baseline.seconds_a_step / plan.estimate.get("slowdown", 1.0) or setting.profile.step_s
        verdict = verdict_of(race, decided, known, step_s * plan.length)
        _hand_over(run, race, decided.winner.trial.name, verdict)
    run.journal.write("verdict", spent_s=clock.spent_s, **verdict.document["verdict"], words=headline(verdict.document))
    return verdict


def _opened(plan: Plan, bench: Workbench, say: Callable[[str], None]) -> Engine:
    """The plan's engine; where it cannot serve on this machine, the reference."""
    entry = engine_entry(plan.engine)
    reason = entry.refuses(bench)
    if reason:
        kept = "with the same numbers" if entry.exact else "with numbers that differ by rounding"
        say(f"the plan's engine {entry.name} {reason}; trials run one after another, {kept}")
        entry = engine_entry("sequential")
    return entry.open(bench, plan.lanes)


def _so_far(race: Race) -> str:
    best = next(iter(race.leaders()), None)
    return (
        ""
        if best is None
        else f" Best so far: {best.trial.name}, {race.bench.judge.metric.name} {shown(best.value)} after {counted(best.step, 'step')}."
    )


def _how_to_go_on(run: Run, setting: Setting) -> str:
    if setting.problem.origin.source:
        return f"go on with: fallline resume {run.folder}"
    return f"go on with: fallline.resume({str(run.folder)!r}, problem)"


def _hand_over(run: Run, race: Race, winner: str, verdict: Verdict) -> None:
    """Recipe, weights and document on disk; checkpoints have served."""
    keep_weights(race.model(race.entered[winner]), run.folder / "model.safetensors")
    write_text(run.folder / "recipe.toml", verdict.recipe.to_toml())
    run.write_json("verdict.json", verdict.document)
    for path in (run.folder / "checkpoints").glob("*.pt"):
        path.unlink()


def keep_weights(model: nn.Module, path: Path) -> None:
    """Weights as safetensors, tied ones once, whole on disk before anything that they replace is deleted."""
    partial = path.with_name(path.name + ".part")
    save_model(model, str(partial))
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def facts(setting: Setting, plan: Plan) -> dict[str, Any]:
    """The problem as JSON schema 1 has it."""
    profile, judge, weights = setting.profile, setting.judge, Given.of(setting.problem.model).weights
    return {
        "task": profile.task, "train": profile.rows, "valid": profile.valid_rows, "audit": profile.audit_rows,
        "metric": judge.metric.name, "direction": judge.metric.direction, "length_steps": plan.length,
        "batch_size": profile.batch_size, "named_metric": isinstance(judge.metric, Metric),
        "fingerprint": fingerprint(setting.data), **({} if weights is None else {"weights": digest(weights)}),
    }  # fmt: skip


def _check_seed(seed: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**28:
        raise UsageError(f"seed must be a whole number from 0 to {2**28 - 1}, got {seed!r}")


def _quiet(_: str) -> None:
    return None
