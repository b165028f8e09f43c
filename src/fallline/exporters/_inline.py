"""Inline: a user's problem file as a part of the script, with a stand-in for this package; or the reason why that cannot be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "fallline"
RECORD = "Problem"
FUNCTION = "problem"


@dataclass(frozen=True)
class Inlined:
    """A user's file, ready to stand in a script."""

    text: str
    future: bool  # it postpones annotations
    beside: tuple[str, ...]  # modules that it imports from its own folder
    why_not: str = ""  # what of this package it uses beyond `Problem`; then it cannot stand alone


def inlined(text: str, path: Path, model: str = "") -> Inlined:
    """The file at `path` without its imports of this package and without what only runs as a script, and with its folder and name.

    `model` is the name by which the file gives its model, "package.module:name".
    """
    tree = ast.parse(text)
    lines = text.splitlines()
    future = False
    for statement in reversed(tree.body):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            future = True
            _replace(lines, statement, [])
        elif _only_as_script(statement):
            _replace(lines, statement, [])
    cleaned = "\n".join(lines) + "\n"
    tree, lines = ast.parse(cleaned), cleaned.splitlines()
    folder = path.parent
    beside = tuple(dict.fromkeys(name for name in [*_roots(tree), model.partition(":")[0].partition(".")[0]] if _beside(folder, name)))
    reasons = [*_beyond(tree), *(f"{name}.py beside it uses {PACKAGE} too" for name in beside if _uses(folder, name))]
    reasons += [f"its line {node.lineno} does more than import" for node in _imports(tree) if _in_company(node, lines[node.lineno - 1])]
    reasons += ["it asks whether it is run as a script" for node in ast.walk(tree) if isinstance(node, ast.If) and _asks_its_name(node)]
    why_not = "; ".join(dict.fromkeys(reasons))
    for statement in sorted(_imports(tree), key=lambda node: -node.lineno):
        _replace(lines, statement, _stand_in(statement, lines[statement.lineno - 1]))
    if tree.body and isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        _replace(lines, tree.body[0], [])  # its title is in the script's own docstring
    before = []
    if any(isinstance(node, ast.Name) and node.id == "__file__" for node in ast.walk(tree)):
        before.append(f"__file__ = {str(path)!r}  # the data lie where that file lies")
    if beside:
        before += ["import sys", "", f"sys.path.insert(0, {str(folder)!r})  # {', '.join(beside)} is read from there"]
    body = "\n".join(lines).strip("\n")
    return Inlined("\n".join(before) + ("\n" if before else "") + body, future, beside, why_not)


def title_of(text: str) -> str:
    """The first line of a file's docstring."""
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Statements, at any depth, that import this package."""

    def ours(node: ast.Import | ast.ImportFrom) -> bool:
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        return any(module.split(".")[0] == PACKAGE for module in modules)

    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and ours(node)]


def _stand_in(statement: ast.Import | ast.ImportFrom, line: str) -> list[str]:
    """Two lines in the place of one import; other names of that statement are imported as before."""
    indent = line[: len(line) - len(line.lstrip())]
    others = [alias for alias in statement.names if isinstance(statement, ast.Import) and alias.name.split(".")[0] != PACKAGE]
    ours = [alias for alias in statement.names if alias not in others]
    out = ["from types import SimpleNamespace", ""] if not indent else ["from types import SimpleNamespace"]
    for alias in ours:
        name = alias.asname or alias.name
        if isinstance(statement, ast.Import):
            out.append(f"{name} = SimpleNamespace({RECORD}=SimpleNamespace)  # stands in for the package: a problem is what it is given")
        else:
            out.append(f"{name} = SimpleNamespace  # stands in for the package: a problem is what it is given")
    if others:
        out.insert(0, "import " + ", ".join(f"{alias.name} as {alias.asname}" if alias.asname else alias.name for alias in others))
    return [indent + text if text else "" for text in out]


def _beyond(tree: ast.Module) -> Iterator[str]:
    """What of this package is used beside `Problem` where it runs: when the file is loaded, or in `problem()`."""
    names = set()
    for statement in _imports(tree):
        for alias in statement.names:
            if isinstance(statement, ast.ImportFrom) and (statement.module != PACKAGE or alias.name != RECORD):
                yield f"it imports {alias.name} from {statement.module}"
            elif isinstance(statement, ast.Import) and "." in alias.name and alias.name.split(".")[0] == PACKAGE:
                yield f"it imports {alias.name}"
            elif isinstance(statement, ast.Import) and alias.name == PACKAGE:
                names.add(alias.asname or alias.name)
    for top in tree.body:
        if isinstance(top, ast.FunctionDef) and top.name != FUNCTION:
            continue
        for node in ast.walk(top):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in names and node.attr != RECORD:
                yield f"it uses {ast.unparse(node)}"


def _beside(folder: Path, name: str) -> bool:
    return bool(name) and ((folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists())


def _uses(folder: Path, name: str) -> bool:
    """Whether a module in the user's folder imports this package itself, for which the script has no stand-in."""
    path = folder / f"{name}.py"
    return path.exists() and bool(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _roots(tree: ast.Module) -> Iterator[str]:
    """The top packages that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def _only_as_script(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":` and nothing else."""
    return isinstance(statement, ast.If) and not statement.orelse and ast.unparse(statement.test) == "__name__ == '__main__'"


def _asks_its_name(statement: ast.If) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test))


def _in_company(statement: ast.stmt, line: str) -> bool:
    """Whether a line holds more than this statement and a comment."""
    after = line.encode()[statement.end_col_offset :].decode().strip() if statement.lineno == statement.end_lineno else ""
    return bool(line[: statement.col_offset].strip()) or (bool(after) and not after.startswith("#"))


def _replace(lines: list[str], statement: ast.stmt, new: list[str]) -> None:
    assert statement.end_lineno is not None
    lines[statement.lineno - 1 : statement.end_lineno] = new
