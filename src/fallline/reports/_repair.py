"""A repair as text: what was tried beside the set-up as it is, the blind sweep, what is kept, and what to write in the source."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline.reports._layout import plain

if TYPE_CHECKING:
    from fallline._repair import Repair, Tried

WIDTH = 110  # as for findings
WORDS = 52  # of a remedy in the table: the rest stands below, with the line to write


def told(repair: Repair) -> str:
    """All that was tried, as the command line prints it."""
    blocks = []
    if repair.tried:
        blocks.append("\n".join(_table("remedy", repair.tried)))
    if repair.sweep:
        blocks.append("\n".join(_table("blind lr", repair.sweep)))
    blocks.append("\n".join(_verdict(repair)))
    if repair.kept:
        lines = ["To have it for good, write in your source:"]
        blocks.append("\n".join([*lines, *(line for change in repair.kept for line in _item(change.source))]))
    if repair.written:
        lines = ["Only your source can be changed here:"]
        for row in repair.written:
            where = f" at {row.place}" if row.place else ""
            lines += _item(f"{row.code} {row.title}{where}: {row.remedy}" + (f" ({row.reason})" if row.reason else ""))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _table(heading: str, rows: Sequence[Tried]) -> list[str]:
    cells = [(_cut(row), shown(row.before), shown(row.after), _interval(row), _status(row)) for row in rows]
    return plain((heading, "before", "after", "difference, 95 %", ""), cells, right=(1, 2))


def _cut(row: Tried) -> str:
    code = f"{'+'.join(row.codes)} " if row.codes else ""
    return textwrap.shorten(f"{code}{row.words}", WORDS, placeholder=" ...")


def _status(row: Tried) -> str:
    status = "proven" if row.proven else row.status if row.after is not None else f"fails: {row.reason}"
    status += ": it does not train without" if row.proven and row.before is None else ""
    status += f" ({row.reason})" if row.reason and row.after is not None else ""
    return textwrap.shorten(status + (", kept" if row.kept else ""), WORDS, placeholder=" ...")


def _interval(row: Tried) -> str:
    return "" if row.interval is None else interval(row.interval)


def interval(ends: tuple[float, float]) -> str:
    return f"{signed(ends[0])} to {signed(ends[1])}"


def signed(value: float) -> str:
    return f"{value:+.3g}" if math.isfinite(value) else ("+inf" if value > 0 else "-inf")


def shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _verdict(repair: Repair) -> list[str]:
    fails = f" As it is it does not train: {repair.fault}." if repair.fault else ""
    if repair.status == "nothing to try":
        return _wrapped(f"Nothing to try: no finding has a remedy that can be made from outside.{fails}")
    if repair.status == "nothing proven":
        return _wrapped(f"Nothing proven: no remedy is shown to be better than the set-up as it is, which stays.{fails}")
    kept = "; ".join(change.words for change in repair.kept)
    if repair.comparison is None:
        figures = f"{repair.metric} {shown(repair.after)}, where the set-up as it is does not train to a value"
    else:
        figures = f"{repair.metric} from {shown(repair.before)} to {shown(repair.after)}, a difference of "
        figures += f"{signed(repair.comparison.difference)} ({interval(repair.comparison.interval)}, {repair.comparison.covers})"
    blind = repair.status == "a blind lr"
    what = "Kept, though the diagnosis does not explain it" if blind else "Kept"
    lines = _wrapped(f"{what}: {kept}: {figures}, on {repair.reported_on}.")
    if repair.sweep and all(row.after is None for row in repair.sweep):
        lines += _wrapped("No learning rate of the blind sweep trains to a value.")
    elif repair.against_sweep:
        lines += _wrapped(AGAINST[repair.against_sweep])
    cost = repair.cost
    parts = f"{cost['remedies']:.1f} of them for remedies, {cost['sweep']:.1f} for the sweep"
    return [*lines, f"Cost: {cost['trainings']:.1f} plain trainings, {parts}; {cost['seconds']:.0f} s."]


AGAINST = {
    "better": "The best of a blind sweep of learning rates is worse than that.",
    "no difference shown": "A blind sweep of learning rates does as well: no difference to its best is shown.",
    "worse": "A blind sweep of learning rates does better than the remedies.",
}


def _item(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="      ")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
