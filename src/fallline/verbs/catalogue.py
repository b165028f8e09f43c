"""`fallline catalogue`: everything that can be chosen."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from fallline._errors import unknown
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._listing import show

KINDS = {"losses": "loss", "optimizers": "optimizer", "schedules": "schedule", "clips": "clip"}


def catalogue(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="losses, optimizers, schedules or clips. Default: all.", show_default=False)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what is raced only when named, and what cannot be, with the reason.", show_default=False)
    ] = False,
    output_format: flags.Format = flags.OutputFormat.TABLE,
) -> None:
    """List everything that can be chosen; `fallline explain NAME` tells about one of them."""
    from fallline import catalogue as entries
    from fallline.catalogue import _library

    if kind is not None and kind not in KINDS:
        raise unknown("kind of entry", kind, KINDS)
    wanted = [KINDS[kind]] if kind else list(KINDS.values())
    rows = [_row(which, entry) for which, entry in entries.all_entries() if which in wanted]
    more = [_row("optimizer", entries.optimizer(name)) for name in _library.names()] if everything and "optimizer" in wanted else []
    aside = _aside(wanted) if everything else []
    if output_format is not flags.OutputFormat.TABLE:
        show("catalogue", [*rows, *more, *aside], {}, output_format)
        return
    for place, which in enumerate(wanted):
        sys.stdout.write("\n" if place else "")
        mine = [row for row in rows if row["kind"] == which]
        columns = {which: _cell("name"), "title": _cell("title")}
        columns |= {key: _cell(key) for key in ("family", "tasks") if any(row[key] for row in mine)}
        columns["settings"] = _cell("space")
        show(which, mine, columns, output_format)
        if which == "optimizer" and more:
            sys.stdout.write(f"\nany other of {_library.PACKAGE}, by its name\n")
            show(which, more, columns, output_format)
        elif which == "optimizer":
            sys.stdout.write(f"{len(_library.names())} others, of {_library.PACKAGE}, can be named as well; --all lists them.\n")
    if aside:
        sys.stdout.write("\n")
        show("set aside", aside, {"set aside": _cell("name"), "title": _cell("title"), "why": _cell("why")}, output_format)


def _row(kind: str, entry: Any) -> dict[str, Any]:
    from fallline.catalogue import Loss, Optimizer

    return {
        "kind": kind,
        "name": entry.name,
        "title": entry.title,
        "family": entry.family if isinstance(entry, Optimizer) else None,
        "tasks": list(entry.tasks) if isinstance(entry, Loss) else None,
        "space": list(entry.space),
        "package": entry.package if isinstance(entry, Optimizer) else "",
        "aliases": list(entry.aliases),
        "source": entry.source,
    }


def _aside(wanted: list[str]) -> list[dict[str, Any]]:
    """What is known and no entry, with the reason."""
    from fallline.catalogue import SET_ASIDE, _library

    rows = [dict(vars(known)) for known in SET_ASIDE if known.kind in wanted]
    if "optimizer" in wanted:
        refused = _library.refused().items()
        rows += [{"kind": "optimizer", "name": name, "title": f"{_library.PACKAGE}.{name}", "why": why} for name, why in refused]
    return rows


def _cell(key: str) -> Any:
    def cell(row: dict[str, Any]) -> str:
        value = row[key]
        return ", ".join(value) if isinstance(value, list) else str(value or "")

    return cell


ENTRY = Verb(name="catalogue", run=catalogue, place=70, example="fallline catalogue losses")
