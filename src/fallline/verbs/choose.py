"""`fallline choose`: a race on a table or a problem file; the winner comes back trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from fallline._budget import Clock, seconds
from fallline._errors import UsageError
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._session import session


def choose(
    source: flags.Source,
    target: flags.Target = None,
    metric: flags.MetricName = None,
    direction: flags.Direction = None,
    task: flags.Task = None,
    time: flags.Time = None,
    group: flags.Group = None,
    text: flags.Text = None,
    horizon: flags.Horizon = None,
    lookback: flags.Lookback = None,
    covariates: flags.Covariates = None,
    positive: flags.Positive = None,
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = None,
    budget: Annotated[str | None, flags.race("--budget", "Wall time, all included: 90s, 10m, 1h30m.", "TIME")] = None,
    price: Annotated[float | None, flags.race("--price", "Work, in plain trainings: 1, 2, 3.5, 8, 20 or more. Default: 3.5.")] = None,
    seed: Annotated[int | None, flags.race("--seed", "Of splits, initial weights, batches and draws. Default: 0.", least=0)] = None,
    engine: Annotated[
        str, flags.race("--engine", "auto, sequential, processes (or processes:4 for the number of lanes), fused.", "NAME")
    ] = "auto",
    device: flags.Device = None,
    plan: Annotated[str | None, flags.race("--plan", "Run a plan again: the plan.json of a run, or a saved dry run.", "FILE")] = None,
    dry_run: Annotated[bool, flags.race("--dry-run", "Print the plan and stop. Nothing is written.")] = False,
    loss: Annotated[str | None, flags.fixed("--loss", "The loss.", "NAME")] = None,
    losses: Annotated[str | None, flags.fixed("--losses", "The losses to race, with commas between them.", "NAMES")] = None,
    optimizer: Annotated[str | None, flags.fixed("--optimizer", "The optimizer.", "NAME")] = None,
    lr: Annotated[float | None, flags.fixed("--lr", "The peak learning rate.")] = None,
    weight_decay: Annotated[float | None, flags.fixed("--weight-decay", "Decoupled weight decay.")] = None,
    momentum: Annotated[float | None, flags.fixed("--momentum", "Momentum.")] = None,
    schedule: Annotated[str | None, flags.fixed("--schedule", "The schedule of lr.", "NAME")] = None,
    clip: Annotated[str | None, flags.fixed("--clip", "How gradients are clipped: none, norm or value.", "NAME")] = None,
    settings: Annotated[list[str] | None, flags.fixed("--set", "Any other setting, as beta2=0.99. May be repeated.", "NAME=VALUE")] = None,
    out: flags.Out = None,
    output_format: flags.Format = flags.OutputFormat.TABLE,
    quiet: flags.Quiet = False,
) -> None:
    """Choose loss, optimizer, lr, schedule and the rest by a race; the winner is handed back trained."""
    clock = Clock(None if budget is None else seconds(budget))  # from here on the time counts, that of loading torch too
    kept = _kept(
        settings or (), loss=loss, optimizer=optimizer, lr=lr, weight_decay=weight_decay, momentum=momentum, schedule=schedule, clip=clip
    )
    raced = [name.strip() for name in losses.split(",") if name.strip()] if losses else None
    _check_names(kept, raced, metric, direction)
    if plan is not None:
        _check_alone({"price": price, "losses": raced, "engine": None if engine == "auto" else engine, **kept})
    with session(clock, quiet=quiet) as progress:
        from fallline._choose import choose as choose_by_race
        from fallline._constraints import Constraints
        from fallline._plan import Plan
        from fallline._planning import check_fits, make_plan
        from fallline._setting import prepare
        from fallline.doors import open_problem

        planned = None if plan is None else Plan.load(plan)
        seed = _seed(seed, planned.seed if planned else None)
        problem = open_problem(
            source, seed=seed, target=target, metric=metric, direction=direction, task=task, time=time, group=group,
            text=text, horizon=horizon, lookback=lookback, covariates=covariates, positive=positive, epochs=epochs, batch_size=batch_size,
        )  # fmt: skip
        if dry_run:
            setting = prepare(problem, seed=seed, device=device)
            for note in setting.notes:
                progress.say(note)
            if planned is not None:
                check_fits(planned, setting)
            constraints = Constraints.of(kept, raced)
            planned = planned or make_plan(setting, clock=clock, price=price, seed=seed, engine=engine, constraints=constraints)
        else:
            verdict = choose_by_race(
                problem, price=price, seed=seed, engine=engine, device=device, losses=raced, out=out, plan=planned,
                say=progress.say, clock=clock, **kept,
            )  # fmt: skip
    if dry_run and planned is not None:
        from fallline.reports import _plan

        _plan.write(planned.to_dict(), planned.lines(), sys.stdout, as_json=output_format is not flags.OutputFormat.TABLE)
        return
    from fallline import reports

    reports.named(output_format.value).write(Path(verdict.document["run"]), sys.stdout)


def _kept(settings: Sequence[str], **given: Any) -> dict[str, Any]:
    """The flags that were given, and the settings of --set."""
    kept = {name: value for name, value in given.items() if value is not None}
    for text in settings:
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
    for read in (json.loads, float):  # float: JSON knows neither .5 nor 1.
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _check_names(kept: dict[str, Any], losses: list[str] | None, metric: str | None, direction: str | None) -> None:
    """A misspelt name is said at once, before torch is loaded and the data are read."""
    from fallline import metrics
    from fallline._constraints import Constraints

    Constraints.of(kept, losses)
    if metric is not None:
        metrics.resolve(metric, direction)


def _check_alone(given: dict[str, Any]) -> None:
    names: Iterable[str] = [f"--{name.replace('_', '-')}" for name, value in given.items() if value is not None]
    if names:
        raise UsageError(f"a plan has its candidates, price and engine already; leave out {', '.join(names)}, or --plan")


def _seed(asked: int | None, planned: int | None) -> int:
    if planned is None:
        return 0 if asked is None else asked
    if asked not in (None, planned):
        raise UsageError(f"the plan was made for seed {planned}, got --seed {asked}; leave --seed out")
    return planned


ENTRY = Verb(name="choose", run=choose, place=10, example="fallline choose houses.csv --target price --metric mae --budget 5m")
