"""`fallline check`: what is wrong with a training, before it is run in full."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fallline._budget import Clock, seconds
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._session import session

if TYPE_CHECKING:
    from fallline._check import Findings
    from fallline.rules import Finding


class Severity(StrEnum):
    """From which severity on a finding makes the exit code 1."""

    STOP = "stop"
    WARN = "warn"
    INFO = "info"
    NEVER = "never"


FailOn = Annotated[Severity, typer.Option("--fail-on", help="Exit with code 1 on a finding of this severity or a graver one.")]
RunFor = Annotated[str, typer.Option("--run-for", help="How long copies may be trained for evidence; 0: objects and data alone.")]


def check(
    source: flags.Source,
    target: flags.Target = None,
    metric: flags.MetricName = None,
    direction: flags.Direction = None,
    task: flags.Task = None,
    time: flags.Time = None,
    group: flags.Group = None,
    positive: flags.Positive = None,
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = None,
    fail_on: FailOn = Severity.NEVER,
    run_for: RunFor = "30s",
    output_format: flags.Format = flags.OutputFormat.TABLE,
    quiet: flags.Quiet = False,
) -> int:
    """Look for what is wrong with a training: its data, loss, model, optimizer, schedule and loop, the root first."""
    limit = 0.0 if run_for.strip() in ("0", "0s") else seconds(run_for, "run-for")
    with session(Clock(), quiet=quiet) as progress:
        from fallline._check import check as looked_at
        from fallline.doors import open_problem

        problem = open_problem(
            source, target=target, metric=metric, direction=direction, task=task, time=time, group=group, positive=positive,
            epochs=epochs, batch_size=batch_size,
        )  # fmt: skip
        progress.say("looking at the objects and the data, then at a short run of a copy")
        findings = looked_at(problem, run_for=limit)
    _report(findings, output_format)
    severities = list(Severity)[: list(Severity).index(fail_on) + 1] if fail_on is not Severity.NEVER else []
    found = [finding.severity for root in findings for finding in (root, *root.consequences)]
    return int(any(severity in severities for severity in found))


def _report(findings: Findings, output_format: flags.OutputFormat) -> None:
    if output_format is flags.OutputFormat.TABLE:
        sys.stdout.write(f"{findings}\n")
        return
    rows = [document(finding) for finding in findings]
    if output_format is flags.OutputFormat.JSONL:
        sys.stdout.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return
    whole = {"schema": 1, "findings": rows, "silent": list(findings.silent), "not_applicable": findings.not_applicable}
    sys.stdout.write(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def document(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON: a number that is not finite is told as a word, which JSON has no figure for."""
    plain = {entry.name: getattr(finding, entry.name) for entry in dataclasses.fields(finding)}
    plain["figures"] = {name: value if math.isfinite(value) else str(value) for name, value in finding.figures.items()}
    plain["changes"] = [change.document() for change in finding.changes]
    plain["consequences"] = [document(below) for below in finding.consequences]
    return plain


ENTRY = Verb(name="check", run=check, place=30, example="fallline check problem.py --fail-on stop")
