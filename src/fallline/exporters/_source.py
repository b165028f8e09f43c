"""Source: Python text copied out of this package, with all it needs, so that it stands in a script alone; and its names kept apart."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from fallline._errors import UsageError
from fallline.catalogue._pages import source_of

OURS = "fallline"


@dataclass
class Copied:
    """Definitions in the order in which they can stand, and the import statements they need."""

    imports: list[str] = field(default_factory=list)
    without: tuple[str, ...] = ()
    definitions: dict[tuple[str, int], str] = field(default_factory=dict)  # (module, line) -> text

    @property
    def text(self) -> str:
        return joined(self.definitions.values())


def copied(*objects: Callable[..., Any] | type, constants: Sequence[tuple[str, str]] = (), without: Sequence[str] = ()) -> Copied:
    """The source of functions and classes and of everything of this package that they use; `constants` are (module, name).

    Functions named in `without` are taken out of the tables in which others look them up: the case at hand never asks for them.
    """
    found = Copied(without=tuple(without))
    for module, name in constants:
        _copy(import_module(module), name, found)
    for thing in objects:
        _copy(import_module(thing.__module__), thing.__qualname__, found)
    return found


def _copy(module: ModuleType, name: str, found: Copied) -> None:
    text = inspect.getsource(module)
    statement = _binding(ast.parse(text), name)
    if statement is None:
        raise UsageError(f"{name} of {module.__name__} is made while it is loaded and has no source to copy; define it with def or class")
    if isinstance(statement, ast.Import | ast.ImportFrom):
        _follow(module, statement, name, found)
        return
    key = (module.__name__, statement.lineno)
    if key in found.definitions:
        return
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        body, imports = plain(source_of(getattr(module, name)))
        for left_out in found.without:
            body = re.sub(rf'(, )?"\w+": {left_out}\b', "", body)
        found.imports += imports
    else:
        body = ast.get_source_segment(text, statement) or ""
        body += _comment(text, statement)
    found.definitions[key] = ""  # marks it as seen: two functions may call each other
    for used in _used(body):
        if _binding(ast.parse(text), used) is not None and used != name:
            _copy(module, used, found)
    del found.definitions[key]
    found.definitions[key] = body.strip("\n")  # after what it uses


def _follow(module: ModuleType, statement: ast.Import | ast.ImportFrom, name: str, found: Copied) -> None:
    """An imported name: copied too where it is this package's, else imported in the script."""
    alias = next(alias for alias in statement.names if (alias.asname or alias.name.partition(".")[0]) == name)
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").split(".")[0] in (OURS, module.__name__.split(".")[0]):
        _copy(import_module(statement.module or ""), alias.name, found)
    else:
        found.imports.append(_one(statement, alias))


def _binding(tree: ast.Module, name: str) -> ast.stmt | None:
    """The statement at the top of a module, or in its block for type checkers, that binds a name."""
    for statement in _statements(tree.body):
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            bound = {statement.name}
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            bound = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound = {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}
        else:
            continue
        if name in bound:
            return statement
    return None


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            yield from _statements(statement.body)


def _used(text: str) -> list[str]:
    return list(dict.fromkeys(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)))


def _one(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    spelled = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
    return f"import {spelled}" if isinstance(statement, ast.Import) else f"from {statement.module} import {spelled}"


def _comment(text: str, statement: ast.stmt) -> str:
    """The comment behind a constant, which is its reason."""
    line = text.splitlines()[(statement.end_lineno or 1) - 1].encode()[statement.end_col_offset :].decode()
    return line.rstrip() if line.strip().startswith("#") else ""


def plain(text: str) -> tuple[str, list[str]]:
    """Text whose import statements, those at the beginning of functions included, are taken out to stand at the top of a script."""
    tree, imports, drop = ast.parse(text), [], set()
    for statement in [*tree.body, *(inner for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in node.body)]:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if not (isinstance(statement, ast.ImportFrom) and statement.module == "__future__"):
                imports += [_one(statement, alias) for alias in statement.names]
            drop |= set(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
    lines = text.splitlines()
    kept: list[str] = []
    for number, line in enumerate(lines, 1):
        after_drop = number - 1 in drop or (number - 2 in drop and not lines[number - 2].strip())
        if number in drop or (after_drop and not line.strip()):
            continue
        kept.append(line)
    return "\n".join(kept).strip("\n"), imports


def joined(texts: Iterable[str]) -> str:
    """Definitions with two empty lines between functions and classes, none between constants."""
    out = ""
    for text in (text for text in texts if text):
        block = text.startswith(("def ", "class ", "@"))
        before = out.rstrip("\n").rpartition("\n\n\n")[2].startswith(("def ", "class ", "@"))
        out += ("\n\n\n" if block or before else "\n") * bool(out) + text.strip("\n")
    return out


def bound_names(text: str) -> set[str]:
    """The names that a text binds at the top of its module."""
    names: set[str] = set()
    for statement in _everywhere(ast.parse(text).body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                names |= _starred(statement) if alias.name == "*" else {alias.asname or alias.name.partition(".")[0]}
        else:
            names |= {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return names


def _starred(statement: ast.Import | ast.ImportFrom) -> set[str]:
    """What `from module import *` binds, as far as the module is at hand."""
    with contextlib.suppress(Exception):  # whatever a module that lies elsewhere raises
        module = import_module(getattr(statement, "module", "") or "")
        return set(getattr(module, "__all__", dir(module)))
    return set()


def _everywhere(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when a module is loaded: also those inside if, for, with and try."""
    for statement in body:
        yield statement
        for inner in ("body", "orelse", "finalbody"):
            if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _everywhere(getattr(statement, inner, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _everywhere(handler.body)


def renamed(text: str, names: dict[str, str]) -> str:
    """The text with variables of these names called otherwise; attributes and keywords of calls keep their names.

    Python 3.11 reads an f-string as one token, so the script's own text names nothing of its own inside one.
    """
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.splitlines(keepends=True)
    depth = 0
    edits = []
    for before, token, after in zip([tokens[0], *tokens], tokens, [*tokens[1:], tokens[-1]], strict=False):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        if token.type == tokenize.NAME and token.string in names and before.string != "." and not (depth and after.string == "="):
            edits.append((token.start, token.string))
    for (row, column), name in reversed(edits):
        line = lines[row - 1]
        lines[row - 1] = line[:column] + names[name] + line[column + len(name) :]
    return "".join(lines)
