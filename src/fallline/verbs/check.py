"""`fallline check`: what is wrong with a training, before it is run in full."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline._budget import Clock, seconds
from fallline._errors import UsageError
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._session import session

if TYPE_CHECKING:
    from fallline._check import Findings
    from fallline._repair import Repair
    from fallline.rules import Finding


class Severity(StrEnum):
    """From which severity on a finding makes the exit code 1."""

    STOP = "stop"
    WARN = "warn"
    INFO = "info"
    NEVER = "never"


FailOn = Annotated[Severity, typer.Option("--fail-on", help="Exit with code 1 on a finding of this severity or a graver one.")]
Fix = Annotated[bool, typer.Option("--fix", help="Try each remedy that can be made from outside; no file is changed.")]
Price = Annotated[float | None, typer.Option("--price", help="What --fix may cost, in plain trainings. Default: 40.")]
Budget = Annotated[str | None, typer.Option("--budget", help="Wall time after which --fix tries nothing more: 5m.", metavar="TIME")]
RunFor = Annotated[str, typer.Option("--run-for", help="How long copies may be trained for evidence; 0: objects and data alone.")]


def check(
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
    fail_on: FailOn = Severity.NEVER,
    run_for: RunFor = "30s",
    fix: Fix = False,
    price: Price = None,
    budget: Budget = None,
    seed: Annotated[int, typer.Option("--seed", help="Of splits, initial weights and batches, for --fix.", min=0)] = 0,
    device: flags.Device = None,
    out: Annotated[str | None, typer.Option("--out", help="A folder, new or empty, for what --fix keeps.", metavar="FOLDER")] = None,
    output_format: flags.Format = flags.OutputFormat.TABLE,
    quiet: flags.Quiet = False,
) -> int:
    """Look for what is wrong with a training: its data, loss, model, optimizer, schedule and loop, the root first."""
    limit = 0.0 if run_for.strip() in ("0", "0s") else seconds(run_for, "run-for")
    given = [f"--{name}" for name, value in {"price": price, "budget": budget, "out": out}.items() if value is not None]
    if given and not fix:
        raise UsageError(f"{' and '.join(given)} go with --fix; give --fix too, or leave them out")
    folder = _new_folder(out)
    clock = Clock(None if budget is None else seconds(budget))
    with session(clock, quiet=quiet) as progress:
        from fallline._check import check as looked_at
        from fallline.doors import open_problem

        problem = open_problem(
            source, target=target, metric=metric, direction=direction, task=task, time=time, group=group, text=text,
            horizon=horizon, lookback=lookback, covariates=covariates, positive=positive, epochs=epochs, batch_size=batch_size,
        )  # fmt: skip
        repair = None
        if fix:
            from fallline._fix import PRICE
            from fallline._fix import fix as tried

            repair = tried(
                problem, price=PRICE if price is None else price, run_for=limit, seed=seed, device=device, say=progress.say, clock=clock
            )
            findings = repair.findings
        else:
            progress.say("looking at the objects and the data, then at a short run of a copy")
            findings = looked_at(problem, run_for=limit)
    _report(findings, repair, output_format)
    if repair is not None and folder is not None:
        _write(repair, folder)
    severities = list(Severity)[: list(Severity).index(fail_on) + 1] if fail_on is not Severity.NEVER else []
    found = [finding.severity for root in findings for finding in (root, *root.consequences)]
    return int(any(severity in severities for severity in found))


def _new_folder(out: str | None) -> Path | None:
    if out is None:
        return None
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out must be a new or an empty folder, and {out} holds something; name another")
    return folder


def _write(repair: Repair, folder: Path) -> None:
    """What was tried and kept, and the recipe by which what is kept was trained."""
    from fallline._journal import write_text

    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "fix.json", json.dumps({"schema": 1, **repair.document()}, indent=2, ensure_ascii=False) + "\n")
    write_text(folder / "fix.txt", f"{repair}\n")
    if repair.kept and repair.recipe is not None:
        write_text(folder / "recipe.toml", repair.recipe.to_toml())


def _report(findings: Findings, repair: Repair | None, output_format: flags.OutputFormat) -> None:
    if output_format is flags.OutputFormat.TABLE:
        sys.stdout.write(f"{findings}\n" if repair is None else f"{findings}\n\n{repair}\n")
        return
    rows = [document(finding) for finding in findings]
    tried = None if repair is None else repair.document()
    if output_format is flags.OutputFormat.JSONL:
        more = [] if tried is None else [{"fix": tried}]
        sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in [*rows, *more])
        return
    whole = {"schema": 1, "findings": rows, "silent": list(findings.silent), "not_applicable": findings.not_applicable}
    whole |= {} if tried is None else {"fix": tried}
    sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def document(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON: a number that is not finite is told as a word, which JSON has no figure for."""
    plain = {entry.name: getattr(finding, entry.name) for entry in dataclasses.fields(finding)}
    plain["figures"] = {name: value if math.isfinite(value) else str(value) for name, value in finding.figures.items()}
    plain["changes"] = [change.document() for change in finding.changes]
    plain["consequences"] = [document(below) for below in finding.consequences]
    return plain


ENTRY = Verb(name="check", run=check, place=30, example="fallline check problem.py --fail-on stop")
