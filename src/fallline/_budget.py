"""Budget: wall time as a hard promise, and the clock that keeps it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from fallline._errors import FalllineError, InterruptedRun, UsageError

UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


class DeadlineReached(FalllineError):
    """The time for training is over; what remains is the reserve for cooling down, judging and writing."""


def seconds(text: str | float | int, name: str = "budget") -> float:
    """`90`, `"90s"`, `"10m"`, `"1h30m"` as seconds.

    Raises:
        UsageError: it is no time, or not positive.
    """
    message = f"{name} must be a time such as 90s, 10m or 1h30m, got {text!r}"
    if isinstance(text, int | float) and not isinstance(text, bool):
        value = float(text)
    else:
        compact = str(text).strip().lower().replace(" ", "")
        pieces = re.findall(r"(\d+(?:\.\d+)?)(min|[smhd]|$)", compact)
        if not pieces or "".join(number + unit for number, unit in pieces) != compact:
            raise UsageError(message)
        value = sum(float(number) * UNITS.get(unit, 1.0) for number, unit in pieces)
    if not 0 < value < float("inf"):
        raise UsageError(message)
    return value


def spoken(value: float) -> str:
    """Seconds as people say them: 0.8 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min"


class Clock:
    """Time spent by a race, including what an earlier process of the same race spent, against its budget."""

    def __init__(self, budget_s: float | None = None, spent_s: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.began = now() - spent_s
        self.budget_s = budget_s
        self.reserve_s = 0.0  # kept back for cooling down, judging and writing; measured during the race
        self.stop_asked = False

    @property
    def spent_s(self) -> float:
        return self._now() - self.began

    @property
    def left_s(self) -> float:
        """Seconds that may still be spent on training; infinite without a budget."""
        return float("inf") if self.budget_s is None else self.budget_s - self.reserve_s - self.spent_s

    def pulse(self) -> None:
        """Called between training steps.

        Raises:
            InterruptedRun: the user asked to stop. DeadlineReached: only the reserve is left.
        """
        if self.stop_asked:
            raise InterruptedRun("stopped on request")
        if self.left_s <= 0:
            raise DeadlineReached("the time for training is over")
