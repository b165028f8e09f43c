"""`fallline resume`: go on with a race that was stopped or killed; a race that is over is reported again."""

from __future__ import annotations

import sys

from fallline._budget import Clock
from fallline._errors import UsageError
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._session import session


def resume(run: flags.RunName, output_format: flags.Format = flags.OutputFormat.TABLE, quiet: flags.Quiet = False) -> None:
    """Go on with a race from the last finished rung of every trial, within what is left of its budget."""
    from fallline import reports
    from fallline._run import find
    from fallline.reports._folder import finished, origin

    clock = Clock()
    folder = find(run)
    if not finished(folder):
        if not (folder / "plan.json").exists():
            raise UsageError(f"{folder} is no race that could go on: one training, or a race that stopped before it began")
        came = origin(folder)
        if not came.get("source"):
            raise UsageError(
                f"the problem of {folder} was made in Python, not read from a file; go on with fallline.resume({str(folder)!r}, problem)"
            )
        with session(clock, quiet=quiet, folder=str(folder)) as progress:
            from fallline import _choose
            from fallline._plan import Plan
            from fallline._run import Run
            from fallline.doors import open_problem

            options = {"seed": Plan.load(folder / "plan.json").seed, **came.get("options", {})}
            problem = open_problem(came["source"], **options)
            _choose.resume(Run(folder), problem, say=progress.say, clock=clock)
    reports.named(output_format.value).write(folder, sys.stdout)


ENTRY = Verb(name="resume", run=resume, place=30, example="fallline resume runs/20260101-120000-houses")
