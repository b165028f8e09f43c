"""`fallline choose`: a race on a table or a problem file; the winner comes back trained."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from fallline._budget import Clock, seconds
from fallline._errors import UsageError
from fallline.verbs import Verb
from fallline.verbs._options import (
    FIXED, OUTPUT, RACE, BatchSize, Device, Direction, Epochs, Format, Group, MetricName, Out, OutputFormat, Positive, Quiet, Source, Target, Task, Time,
)  # fmt: skip
from fallline.verbs._session import session


def _fix(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel=FIXED)


def _race(name: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(name, help=text, rich_help_panel=RACE, metavar=metavar)


def choose(
    source: Source,
    target: Target = None,
    metric: MetricName = None,
    direction: Direction = None,
    task: Task = None,
    time: Time = None,
    group: Group = None,
    positive: Positive = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    budget: Annotated[str | None, _race("--budget", "Wall time, all included: 90s, 10m, 1h30m.", "TIME")] = None,
    price: Annotated[float | None, _race("--price", "Work, in plain trainings: 1, 2, 3.5, 8, 20 or more. Default: 3.5.")] = None,
    seed: Annotated[int | None, _race("--seed", "Of splits, initial weights, batches and draws. Default: 0.")] = None,
    engine: Annotated[str, _race("--engine", "auto or sequential.")] = "auto",
    device: Device = None,
    plan: Annotated[
        str | None, _race("--plan", "Run a plan again: a run's plan.json, or what --dry-run --output-format json printed.", "FILE")
    ] = None,
    dry_run: Annotated[bool, _race("--dry-run", "Print the plan and stop; nothing is written.")] = False,
    loss: Annotated[str | None, _fix("--loss", "The loss of all candidates.")] = None,
    losses: Annotated[str | None, _fix("--losses", "The losses to race, with commas between them.")] = None,
    optimizer: Annotated[str | None, _fix("--optimizer", "The optimizer.")] = None,
    lr: Annotated[float | None, _fix("--lr", "The peak learning rate.")] = None,
    weight_decay: Annotated[float | None, _fix("--weight-decay", "Decoupled weight decay.")] = None,
    momentum: Annotated[float | None, _fix("--momentum", "Momentum.")] = None,
    schedule: Annotated[str | None, _fix("--schedule", "The schedule of lr.")] = None,
    clip: Annotated[str | None, _fix("--clip", "How gradients are clipped: none, norm or value.")] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any other setting, such as beta2=0.99; may be repeated.", metavar="NAME=VALUE", rich_help_panel=FIXED),
    ] = None,
    out: Out = None,
    output_format: Format = OutputFormat.TABLE,
    quiet: Quiet = False,
) -> None:
    """Choose loss, optimizer, lr, schedule and the rest by a race; the winner is handed back trained."""
    clock = Clock(None if budget is None else seconds(budget))  # from here on the time counts, also that of loading torch
    kept = _constraints(
        fixed or (), loss=loss, optimizer=optimizer, lr=lr, weight_decay=weight_decay, momentum=momentum, schedule=schedule, clip=clip,
    )  # fmt: skip
    raced = [name.strip() for name in losses.split(",") if name.strip()] if losses else None
    _check_names(kept, raced, metric, direction)
    if plan is not None:
        given = {"--price": price, "--losses": raced, "--engine": None if engine == "auto" else engine, **kept}
        _check_alone(name for name, value in given.items() if value is not None)
    with session(clock, quiet=quiet) as progress:
        from fallline import _choose
        from fallline._constraints import Constraints
        from fallline._plan import Plan
        from fallline.doors import open_problem

        planned = None if plan is None else Plan.load(plan)
        seed = _seed(seed, None if planned is None else planned.seed)
        problem = open_problem(
            source, seed=seed, target=target, metric=metric, direction=direction, task=task, time=time, group=group, positive=positive,
            epochs=epochs, batch_size=batch_size,
        )  # fmt: skip
        if dry_run:
            setting = _choose.prepare(problem, seed=seed, device=device)
            for note in setting.notes:
                progress.say(note)
            constraints = Constraints.of(kept, raced)
            planned = planned or _choose.make_plan(
                setting, budget_s=clock.budget_s, price=price, seed=seed, engine=engine, constraints=constraints
            )
        else:
            verdict = _choose.choose(
                problem, price=price, seed=seed, engine=engine, device=device, losses=raced, out=out, plan=planned, say=progress.say, clock=clock, **kept,
            )  # fmt: skip
    if dry_run and planned is not None:
        from fallline.reports import _plan

        _plan.write(planned.to_dict(), planned.lines(), sys.stdout, as_json=output_format is not OutputFormat.TABLE)
        return
    from pathlib import Path

    from fallline import reports

    reports.named(output_format.value).write(Path(verdict.document["run"]), sys.stdout)


def _constraints(fixed: list[str] | tuple[()], **flags: Any) -> dict[str, Any]:
    """The flags that were given, and the settings of --set."""
    kept = {name: value for name, value in flags.items() if value is not None}
    for text in fixed:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name:
            raise UsageError(f"--set takes NAME=VALUE, such as --set beta2=0.99, got {text!r}")
        if name in kept:
            raise UsageError(f"{name} is fixed twice; give it once")
        kept[name] = _value(value.strip())
    return kept


def _value(text: str) -> Any:
    """A number, true, false or a list of numbers as JSON writes them; all else is a name."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return float(text)  # JSON has no 1e-3 without digits before it, no .5 and no +1
    except ValueError:
        return text


def _check_names(kept: dict[str, Any], losses: list[str] | None, metric: str | None, direction: str | None) -> None:
    """A misspelt name is said at once, before torch is loaded and the data are read."""
    from fallline import metrics
    from fallline._constraints import Constraints

    Constraints.of(kept, losses)
    if metric is not None:
        metrics.resolve(metric, direction)


def _check_alone(given: Any) -> None:
    names = [name if name.startswith("--") else f"--{name.replace('_', '-')}" for name in given]
    if names:
        raise UsageError(f"a plan holds its candidates, price and engine already; leave out {', '.join(names)} or --plan")


def _seed(asked: int | None, planned: int | None) -> int:
    if planned is None:
        return 0 if asked is None else asked
    if asked not in (None, planned):
        raise UsageError(f"the plan was made for seed {planned}, got --seed {asked}; leave --seed out")
    return planned


ENTRY = Verb(name="choose", run=choose, place=10, example="fallline choose houses.csv --target price --metric mae --budget 5m")
