"""Ctrl-C: once asks the race to stop after the present step, twice stops at once. The handler is the command line's, and put back after."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fallline._budget import Clock
from fallline._errors import InterruptedRun

ONCE = b"\nstopping after this step; Ctrl-C again stops at once\n"


@contextmanager
def stopped_by_ctrl_c(clock: Clock, run: Callable[[], str | None], *, quiet: bool) -> Iterator[None]:
    """Within it, the first Ctrl-C asks the clock to stop the race.

    Args:
        run: the run's folder, None before there is one; nothing can be lost then, and the first Ctrl-C stops at once.

    Raises:
        InterruptedRun: stopped at once.
    """
    mine = os.getpid()

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if os.getpid() != mine:
            return  # a worker that inherited the handler: the parent decides
        if clock.stop_asked or run() is None:
            raise KeyboardInterrupt
        clock.stop_asked = True
        if not quiet:
            os.write(2, ONCE)  # the buffered stream may be in the middle of a line, and cannot be entered twice

    in_charge = threading.current_thread() is threading.main_thread()  # elsewhere Python allows no handler
    before = signal.signal(signal.SIGINT, handle) if in_charge else None
    try:
        yield
    except KeyboardInterrupt as stop:
        folder = run()
        if folder is None:
            raise InterruptedRun("stopped before the race began; nothing was written") from stop
        raise InterruptedRun(f"stopped at once; what was finished is kept\ngo on with: fallline resume {folder}") from stop
    finally:
        if in_charge:
            signal.signal(signal.SIGINT, before)
