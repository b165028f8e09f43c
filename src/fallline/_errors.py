"""What a user is told when something cannot be done: what was wanted, what came, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FalllineError(Exception):
    """A message for the user; the command line prints it without a traceback."""

    exit_code = 2


class UsageError(FalllineError, ValueError):
    """The call itself is wrong: an unknown name, an impossible value, a budget that cannot hold (exit code 2)."""

    exit_code = 2


class RefusedError(FalllineError, ValueError):
    """The data or the model cannot be used as it is (exit code 3)."""

    exit_code = 3


class InterruptedRun(FalllineError):
    """The user asked a race to stop; what was finished is in the run's folder (exit code 130)."""

    exit_code = 130


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that look most like `name`, best first."""
    by_lower = {option.lower(): option for option in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=most, cutoff=0.5)  # 0.5: "accuracy" for "acuracy", not for "loss"
    return [by_lower[option] for option in found]


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "", aliases: Iterable[str] = ()) -> UsageError:
    """The error for a name that nothing answers to, with the nearest names or all of them; aliases are offered only where they are near."""
    options = sorted(known)
    close = nearest(name, [*options, *aliases])
    if close:
        advice = f"did you mean {' or '.join(close)}?"
    else:
        advice = f"known: {', '.join(options)}" if options else "there is none"
    return UsageError(f"unknown {kind} {name!r}; {advice}{' ' + hint if hint else ''}")
