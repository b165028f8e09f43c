"""`fallline export`: the winner of a run in a form that does not need Fallline."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from fallline.verbs import Verb
from fallline.verbs import _options as flags


def export(
    run: flags.RunName,
    to: Annotated[str, typer.Option("--to", help="script: one plain PyTorch file.", show_default=False)],
    out: Annotated[
        str | None, typer.Option("--out", help="The file or folder to write. Default: in the run's folder.", metavar="PATH")
    ] = None,
) -> None:
    """Write the winner's training so that it runs without Fallline."""
    from fallline.exporters import export as exported

    sys.stdout.write(f"{exported(run, to, out)}\n")


ENTRY = Verb(name="export", run=export, place=50, example="fallline export runs/20260101-120000-houses --to script --out train_houses.py")
