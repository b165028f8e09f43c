"""Tables for people: drawn by rich on a terminal; plain aligned text of the same width everywhere else, without box characters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from rich.cells import cell_len

if TYPE_CHECKING:
    from rich.console import Console

GAP = "  "


def drawn(out: TextIO) -> bool:
    """Whether `out` is a terminal that can be drawn on. FORCE_COLOR does not count: a file is no terminal."""
    return out.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def console(out: TextIO) -> Console:
    """A rich console on `out`; it keeps to NO_COLOR and to the terminal's encoding by itself."""
    from rich.console import Console

    return Console(file=out, highlight=False, markup=False, emoji=False)


def table(
    out: TextIO, headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = (), marked: Sequence[int] = ()
) -> None:
    """Write a table; `right` names the columns of numbers, `marked` the rows in bold."""
    if not drawn(out):
        out.write("\n".join(plain(headings, rows, right=right)) + "\n")
        return
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for place, heading in enumerate(headings):
        grid.add_column(heading, justify="right" if place in right else "left", overflow="fold")
    for place, row in enumerate(rows):
        grid.add_row(*row, style="bold" if place in marked else None)
    console(out).print(grid)


def plain(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """A table as lines of text: columns as wide as what is in them, the last one without padding."""
    table = [list(headings), *(list(row) for row in rows)]
    widths = [max(cell_len(row[place]) for row in table) for place in range(len(headings))]
    lines = [GAP.join(_padded(cell, widths[place], place in right) for place, cell in enumerate(row)) for row in table]
    return [line.rstrip() for line in [lines[0], GAP.join("-" * width for width in widths), *lines[1:]]]


def pairs(rows: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Names and what they are, aligned."""
    width = max((cell_len(name) for name, _ in rows), default=0)
    return [f"{indent}{_padded(name, width, False)}{GAP}{value}".rstrip() for name, value in rows]


def _padded(cell: str, width: int, right: bool) -> str:
    space = " " * (width - cell_len(cell))
    return space + cell if right else cell + space
