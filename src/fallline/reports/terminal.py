"""The report that the command line prints: verdict, recipe, table of candidates, reasons, files, and what to type next."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from fallline._counted import counted
from fallline.reports import Report
from fallline.reports import _words as words
from fallline.reports._folder import document, origin
from fallline.reports._layout import console, drawn, pairs, table

COLOURS = {"better": "green", "worse": "red", "no difference shown": "yellow"}
MOST_ROWS = 20  # of the table: a screen; the default plan has five, plan 20 more than fifty
WIDTH = 100  # columns of running text where there is no terminal to ask


def write(folder: Path, out: TextIO) -> None:
    """The report of the finished run in `folder`."""
    doc = document(folder)
    came = origin(folder)
    page = _Page(out)
    problem = doc["problem"]
    early = doc["verdict"].get("compared_at") is not None  # no final result, so in no colour of one
    page.title(" ".join(words.headline(doc)), COLOURS["no difference shown" if early else doc["verdict"]["status"]])
    page.text(
        f"{problem['task']}, metric {problem['metric']} ({words.better(problem['direction'])}); "
        f"{counted(problem['train'], 'example')} to train, {problem['valid']:,} to choose (valid), {problem['audit']:,} to report (audit)."
    )
    page.heading("Recipe")
    page.lines(pairs([*words.recipe_lines(doc["recipe"]), *words.scale_line(came)]))
    page.heading(f"Candidates by {problem['metric']} on valid, {words.better(problem['direction'])}")
    more = _leaderboard(doc, out)
    page.text(more)
    page.heading("Why")
    for reason in doc.get("reasons", ()):
        page.text(reason, bullet="- ")
    page.heading(f"Files in {words.here(folder)}")
    artifacts = doc["artifacts"]
    page.lines(
        pairs(
            [(artifacts["recipe"], "the recipe"), (artifacts["model"], "its trained weights"), (artifacts["journal"], "all that happened")]
        )
    )
    page.heading("Next")
    page.lines([f"  {command}  # {what}" for command, what in words.next_commands(doc, folder, came)])


def _leaderboard(doc: Mapping[str, Any], out: TextIO) -> str:
    """The table of candidates; what did not fit into it is given back as a sentence."""
    every = words.candidates(doc)
    winner = words.chosen(doc, every)
    rows = [row for place, row in enumerate(every) if place < MOST_ROWS or row is winner or row["name"] == words.BASELINE]
    headings = ["", "candidate", "loss", "optimizer", "lr", "schedule", doc["problem"]["metric"], "steps", "what became of it"]
    cells = []
    for row in rows:
        recipe = row["recipe"]
        fate = words.fate(doc, row)
        cells.append([
            str(every.index(row) + 1) if row["metric"] is not None else "-",
            row["name"],
            *(_name(recipe[kind]) for kind in ("loss", "optimizer")),
            words.setting(recipe["optimizer"].get("lr", "-")),
            _name(recipe["schedule"]),
            words.number(row["metric"]),
            f"{row['stopped_at']:,}",
            f"CHOSEN, {fate}" if row is winner else fate,
        ])  # fmt: skip
    table(out, headings, cells, right=(0, 4, 6, 7), marked=[place for place, row in enumerate(rows) if row is winner])
    return words.left_out(doc, [row for row in every if row not in rows])


def _name(table: Mapping[str, Any]) -> str:
    return words.OWN if table["name"] == "own" else str(table["name"])


class _Page:
    """Running text: styled on a terminal, wrapped at a fixed width elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.console = console(out) if drawn(out) else None

    def title(self, text: str, colour: str) -> None:
        self._put(text, f"bold {colour}")

    def heading(self, text: str) -> None:
        self._put(f"\n{text}", "bold")

    def text(self, text: str, bullet: str = "") -> None:
        width = self.console.width if self.console else WIDTH
        self.lines(
            textwrap.wrap(
                text, width, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False, break_on_hyphens=False
            )
        )

    def lines(self, lines: list[str]) -> None:
        for line in lines:
            self._put(line, "")

    def _put(self, text: str, style: str) -> None:
        if self.console:
            self.console.print(text, style=style or None, soft_wrap=not style)
        else:
            self.out.write(
                (textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) if style and "\n" not in text else text) + "\n"
            )


ENTRY = Report(name="table", title="tables for people", write=write)
