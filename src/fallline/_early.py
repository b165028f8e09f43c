"""Early: the rest of a plan is left out where nothing it could bring would change the verdict.

Only what is certain counts. A gain on valid that is far beyond the noise a race assumes is not: of races with nothing to find whose
interval on valid excluded zero at 99 to 99.99 %, measured seeds took back more than nine of ten (benchmarks/price/early.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._winner import winner_of

if TYPE_CHECKING:
    from fallline._race import Race


def draws_left_out(race: Race) -> bool:
    """Whether no further candidate could be better on valid than the best there is."""
    finished, metric = race.finished(), race.bench.judge.metric
    if not finished or metric.best is None or finished[0].value != metric.best:
        return False
    reason = f"{finished[0].trial.name} has {metric.name} {metric.best:g} on valid, and no candidate can have a better one"
    return _said(race, "draws", reason)


def seeds_left_out(race: Race) -> bool:
    """Whether other seeds could not change what is said, since the baseline itself is handed back."""
    finished = race.finished()
    if race.baseline.status != "finished" or winner_of(race, finished) is not race.baseline:
        return False
    reason = "the baseline is handed back, since no candidate is better on valid by a quarter of the standard error"
    return _said(race, "more seeds", reason)


def _said(race: Race, left_out: str, reason: str) -> bool:
    race.left_out.append(f"{left_out.capitalize()} were left out, since {reason}.")
    race.say(f"{left_out}: left out, since {reason}")
    race.folder.journal.write("early", left_out=left_out, reason=reason)
    return True
