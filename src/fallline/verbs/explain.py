"""`fallline explain`: what an entry, a topic or a metric does and when it suits; what a rule looks for and what to do."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from typing import Annotated, Any

import typer

from fallline._errors import unknown
from fallline.verbs import Verb
from fallline.verbs import _options as flags
from fallline.verbs._listing import show

CODE = re.compile(r"fl\d+")


class Language(StrEnum):
    """Languages in which there are pages."""

    EN = "en"
    ZH = "zh"


@dataclass(frozen=True)
class Named:
    """Something that has a page."""

    kind: str  # loss, optimizer, schedule, clip, topic, metric, rule
    entry: Any  # a catalogue Entry, a Metric or a Rule: all have name and title
    aliases: tuple[str, ...]


def explain(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="A loss, optimizer, schedule, clip, topic, metric, or a rule by its code.", show_default=False),
    ],
    lang: Annotated[Language, typer.Option("--lang", envvar="FALLLINE_LANG", help="English where there is no Chinese page.")] = Language.EN,
    output_format: flags.Format = flags.OutputFormat.TABLE,
) -> None:
    """Explain a loss, optimizer, schedule, clip, topic or metric, or a rule by its code, as in FL101."""
    found = _found(name)
    rows = [_row(thing, _page(thing, lang)) for thing in found]
    if output_format is not flags.OutputFormat.TABLE:
        show("pages", rows, {}, output_format)
        return
    for place, row in enumerate(rows):
        sys.stdout.write("\n\n" if place else "")
        _print(row)


def _all() -> Iterator[Named]:
    from fallline import catalogue
    from fallline.metrics import metrics

    yield from (Named(kind, entry, entry.aliases) for kind, entry in catalogue.all_entries())
    yield from (Named("topic", entry, entry.aliases) for entry in catalogue.all_topics().values())
    yield from (Named("metric", entry, entry.aliases) for entry in metrics().values())


def _rules() -> Iterator[Named]:
    from fallline.rules import rules

    yield from (Named("rule", rule, (rule.code.lower(),)) for rule in rules().values())


def _found(name: str) -> list[Named]:
    """All that have this name; where none has it, those that have it as an alias. A loss and a metric may share a name."""
    key = name.strip().lower().replace("-", "_").replace(" ", "_")
    things: list[Named] = []
    for source in (_rules,) if CODE.fullmatch(key) else (_all, _rules):  # the rules are sixty files: read only where they are meant
        things += source()
        found = [thing for thing in things if thing.entry.name == key] or [thing for thing in things if key in thing.aliases]
        found = found or _of_the_library(name)
        if found:
            return found
    from fallline.catalogue import _library

    raise unknown("name", name, [known for thing in things for known in (thing.entry.name, *thing.aliases)], aliases=_library.names())


def _of_the_library(name: str) -> list[Named]:
    """Any other optimizer of pytorch_optimizer, which has no file of its own; none where that is not meant.

    Raises:
        UsageError: it is meant, and no race can try it.
    """
    from fallline.catalogue import _library, optimizer, set_aside

    within, packaged = _library.stripped(name)
    if packaged or _library.knows(within) or set_aside("optimizer", name) is not None:
        return [Named("optimizer", optimizer(name), ())]
    return []


def _page(thing: Named, lang: Language) -> str:
    if thing.kind == "metric":
        return _metric_page(thing.entry)
    if lang is Language.ZH:
        from fallline import zh

        chinese = zh.page(thing.kind, thing.entry.name)
        if chinese is not None and _can_be_shown(chinese):
            return chinese
    if thing.kind == "rule":
        from fallline.rules._pages import page as rule_page

        return rule_page(thing.entry)
    from fallline.catalogue._pages import page

    return page(thing.entry)


def _can_be_shown(text: str) -> bool:
    """Whether stdout has these characters; on an ASCII terminal question marks would be all there is."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _metric_page(metric: Any) -> str:
    """The docstring of the module that defines the metric."""
    for function in (metric.each, metric.whole):
        module = sys.modules.get(getattr(function, "__module__", ""))
        if getattr(module, "ENTRY", None) is metric:
            return inspect.cleandoc(module.__doc__ or "")
    return inspect.cleandoc(import_module(f"fallline.metrics.{metric.name}").__doc__ or "")


def _row(thing: Named, page: str) -> dict[str, Any]:
    space = getattr(thing.entry, "space", {})
    fields = ("default", "low", "high", "log", "choices", "unit", "why")
    settings = {name: {key: getattr(hyper, key) for key in fields} for name, hyper in space.items()}
    row = {"kind": thing.kind, "name": thing.entry.name, "title": thing.entry.title, "page": page}
    return {**row, "source": getattr(thing.entry, "source", ""), "aliases": list(thing.aliases), "space": settings}


def _print(row: dict[str, Any]) -> None:
    from fallline.reports._layout import table

    aliases = f", also {', '.join(row['aliases'])}" if row["aliases"] else ""
    title, _, rest = row["page"].partition("\n")
    sys.stdout.write(f"{title}\n({row['kind']} {row['name']}{aliases})\n{rest.rstrip()}\n")
    if row["space"]:
        sys.stdout.write("\n")
        cells = [[name, _value(hyper["default"]), _range(hyper), hyper["why"]] for name, hyper in row["space"].items()]
        table(sys.stdout, ["setting", "default", "range of draws", "why this default"], cells)


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _range(hyper: dict[str, Any]) -> str:
    """The range in which draws are made; what is not drawn stays at its default unless the user sets it."""
    if hyper["choices"]:
        return " or ".join(_value(choice) for choice in hyper["choices"])
    if hyper["low"] is None or hyper["high"] is None:
        return "not drawn"
    words = f"{hyper['low']:g} to {hyper['high']:g}{', log scale' if hyper['log'] else ''}"
    return f"{words} ({hyper['unit']})" if hyper["unit"] else words


ENTRY = Verb(name="explain", run=explain, place=60, example="fallline explain huber")
