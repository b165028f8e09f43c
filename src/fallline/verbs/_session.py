"""What verbs that train share: progress, Ctrl-C and the user's own output, which must not get between the results on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from fallline._budget import Clock
from fallline.verbs._interrupt import stopped_by_ctrl_c
from fallline.verbs._progress import Progress


@contextmanager
def session(clock: Clock, *, quiet: bool, folder: str | None = None) -> Iterator[Progress]:
    """Within it the user's prints go to stderr, progress is shown and Ctrl-C stops the race; `folder`: of a run to go on with."""
    with (
        redirect_stdout(sys.stderr),
        Progress(clock, quiet=quiet, folder=folder) as progress,
        stopped_by_ctrl_c(clock, lambda: progress.folder, quiet=quiet),
    ):
        yield progress
