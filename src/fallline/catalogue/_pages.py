"""What an entry's own file gives beside its record: the page to read, and the source that an exported script copies."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

from fallline.catalogue import Clip, Entry, Loss, Optimizer, Schedule

SECTIONS = ("What it does", "When it suits", "When it does not", "Source")

# Names of this package that annotations may use, and what they are in a script that does not have it.
_PLAIN = ((r" -> (LossFunction|ClipFunction)", ""), (r": Settings\b", ": dict"))


def module_of(entry: Entry) -> ModuleType:
    """The module in which an entry is written."""
    if isinstance(entry, Schedule):
        return import_module(entry.factor.__module__)
    if isinstance(entry, Loss | Optimizer | Clip):
        return import_module(entry.build.__module__)
    return import_module(f"fallline.catalogue.topics.{entry.name}")


def page(entry: Entry) -> str:
    """The page that `fallline explain` prints: the title, then the sections."""
    return entry.text or inspect.cleandoc(module_of(entry).__doc__ or "")


def sections(text: str, headings: tuple[str, ...] = SECTIONS) -> dict[str, str]:
    """A page's sections by heading, in their order."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines()[1:]:
        if line.endswith(":") and line[:-1] in headings:
            lines = found.setdefault(line[:-1], [])
        else:
            lines.append(line)
    return {heading: "\n".join(lines).strip() for heading, lines in found.items()}


def source_of(function: Callable[..., Any]) -> str:
    """The source of a function without names of this package, ready to stand in a script."""
    text = inspect.getsource(function)
    for pattern, plain in _PLAIN:
        text = re.sub(pattern, plain, text)
    return text


def carried(entry: Entry, code: str) -> str:
    """The source that must stand before `code` in a script that has only torch; empty when torch is enough."""
    own = vars(module_of(entry))
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    functions = [source_of(own[name]) for name in sorted(names) if inspect.isfunction(own.get(name))]
    if entry.carries:
        text = inspect.getsource(import_module(entry.carries))
        body = ast.parse(text).body
        first = next(node for node in body[1:] if not (isinstance(node, ast.ImportFrom) and node.module == "__future__"))
        functions.append("\n".join(text.splitlines()[first.lineno - 1 :]) + "\n")
    return "\n\n".join(functions)
