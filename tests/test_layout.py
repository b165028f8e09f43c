"""The layout holds: the import ladder, file sizes and names, and entries that nothing outside the catalogue knows by name."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fallline import catalogue
from fallline.metrics import metrics

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fallline"

# Each rung imports from itself and from the rungs above it. A module stands where its longest prefix stands.
LADDER = (
    ("_errors", "_counted", "_discover", "_journal", "_machine"),
    ("metrics", "_splits", "_statistics"),
    ("_head",),
    ("_batches", "_loader", "_kinds", "_weights", "_model", "_problem", "_adapt", "_outputs"),
    ("_data", "_fingerprint", "_fit"),
    ("_profile", "_targets", "_measure"),
    ("catalogue", "zh"),
    ("_extras", "_recipe"),
    ("_parts", "_kept", "_judge", "_constraints", "_portfolio", "_ranking", "_prior", "_finetune"),
    ("_average", "_bench", "_demands", "_step", "_loop", "_rehearse"),
    ("engines",),
    ("_verdict", "policies"),
    ("_budget", "_plan", "_run", "_setting", "_planning", "_entered", "_winner", "_early", "_cutoff", "_rung", "_weeding", "_race"),
    ("_decide", "_document", "_resplit", "_result", "_record"),
    ("_train", "_choose"),
    ("signals", "changes", "rules", "_watch", "_check", "_arm", "_repair", "_fix"),
    ("callbacks",),
    ("doors.models",),
    ("doors",),
    ("exporters", "reports"),
    ("verbs", "_cli", "__main__"),
    ("__init__",),
    ("testing",),
)

# What a room never imports although the ladder would allow it.
CLOSED = {
    "engines": ("catalogue",),  # engines receive built objects and never name an optimizer
    "reports": ("engines", "policies", "_race", "_step", "_problem", "doors"),  # reports read only a run's folder
    "exporters": ("engines", "policies", "_race"),  # exporters too, beside the source of the step they copy
}

# The imports that go up the ladder all the same, each with its reason.
UPWARD = {
    ("_result", "reports"): "print(verdict) shows what the command line shows",
    ("_repair", "reports"): "print(repair) shows what the command line shows",
    ("_check", "reports"): "print(findings) shows what the command line shows",
    ("_recipe", "_parts"): "recipe.build() is a method of the recipe, and what it builds is another decision",
}

LONGEST = 400
LONG = 300
LONG_REASON = "Over 300 lines because"
HEAVY = {"torch", "torchmetrics", "scipy", "polars"}  # one to two seconds each
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "base", "manager", "common", "misc"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def dotted(path: Path) -> str:
    """`engines/sequential.py` as `engines.sequential`, a package's `__init__.py` as the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {dotted(path): path for path in FILES}
PLACES = {prefix: rung for rung, prefixes in enumerate(LADDER) for prefix in prefixes}


def place(module: str) -> str | None:
    """The prefix in the ladder under which a module stands, the longest that fits."""
    fitting = [prefix for prefix in PLACES if module == prefix or module.startswith(prefix + ".")]
    return max(fitting, key=len, default=None)


def only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(node: ast.AST, *, functions: bool = True) -> Iterator[ast.AST]:
    """Every node below `node` that runs; without `functions`, that runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if only_for_types(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield other
                yield from statements(other, functions=functions)
            continue
        if not functions and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield child
        yield from statements(child, functions=functions)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported(path: Path, *, functions: bool = True) -> Iterator[tuple[str, int]]:
    """Dotted names that a file imports, with their lines; `from a import b` counts as `a.b`."""
    package = ["fallline", *path.relative_to(PACKAGE).parts[:-1]]
    for node in statements(tree(path), functions=functions):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{source}.{alias.name}", node.lineno) for alias in node.names)


def imported_modules(path: Path) -> Iterator[tuple[str, int]]:
    """Modules of this package that a file imports, as `engines.sequential`."""
    for name, line in imported(path):
        if name != "fallline" and not name.startswith("fallline."):
            continue
        parts = name.split(".")[1:] or ["__init__"]
        if len(parts) == 1 and parts[0] not in MODULES:
            parts = ["__init__"]  # a public name of the package
        while len(parts) > 1 and ".".join(parts) not in MODULES:
            parts.pop()  # the last part is an object in the module
        yield ".".join(parts), line


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(PACKAGE.parent)}:{line}"


def test_every_module_has_its_rung() -> None:
    strangers = [str(MODULES[module].relative_to(PACKAGE)) for module in MODULES if place(module) is None]
    assert not strangers, f"no rung in LADDER for {', '.join(strangers)}; add each to the table in {Path(__file__).name}"


def test_modules_import_only_from_their_rung_or_above() -> None:
    wrong = []
    for module, path in MODULES.items():
        own = place(module)
        for target, line in imported_modules(path):
            other = place(target)
            if own and other and PLACES[other] > PLACES[own] and (own, other) not in UPWARD:
                wrong.append(f"{where(path, line)} imports {target}, which stands lower on the ladder than {own}")
    assert not wrong, "\n".join(wrong)


def test_rooms_import_each_other_in_one_direction() -> None:
    graph: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        own = place(module)
        if own:
            others = {place(target) for target, _ in imported_modules(path)}
            graph.setdefault(own, set()).update(other for other in others if other and other != own and (own, other) not in UPWARD)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError and shows the cycle


def test_closed_doors_stay_closed() -> None:
    wrong = [
        f"{where(path, line)} imports {target}; {room} must not"
        for room, closed in CLOSED.items()
        for module, path in MODULES.items()
        if place(module) == room
        for target, line in imported_modules(path)
        if place(target) in closed
    ]
    assert not wrong, "\n".join(wrong)


def test_torchvision_is_never_imported() -> None:
    wrong = [where(path, line) for path in FILES for name, line in imported(path) if name.split(".")[0] == "torchvision"]
    assert not wrong, f"users name torchvision models, the package never imports it: {', '.join(wrong)}"


def test_entries_load_heavy_libraries_only_inside_functions() -> None:
    wrong = [
        f"{where(path, line)} imports {name}"
        for module, path in MODULES.items()
        if module.split(".")[0] in ("catalogue", "metrics", "rules", "signals")
        and (path.name == "__init__.py" or not path.name.startswith("_"))
        for name, line in imported(path, functions=False)
        if name.split(".")[0] in HEAVY
    ]
    assert not wrong, "names and pages are listed without torch:\n" + "\n".join(wrong)


@pytest.mark.parametrize("arguments", [["--help"], ["choose", "--help"], ["explain", "huber"], ["catalogue"], ["metrics"]], ids=" ".join)
def test_what_only_reads_pages_loads_no_heavy_library(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom fallline._cli import main\n"
        f"sys.argv = ['fallline', *{arguments!r}]\n"
        "code = 0\n"
        "try:\n    code = main()\nexcept SystemExit as stop:\n    code = stop.code\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]", f"`fallline {' '.join(arguments)}` loads {done.stderr.splitlines()[-1]}"


def test_files_are_short_or_say_why_not() -> None:
    wrong = []
    for path in FILES:
        lines = len(path.read_text(encoding="utf-8").splitlines())
        docstring = ast.get_docstring(tree(path)) or ""
        if lines > LONGEST:
            wrong.append(f"{path.relative_to(PACKAGE)} has {lines} lines, {LONGEST} is the end; split it by what its parts decide")
        elif lines > LONG and LONG_REASON not in docstring:
            wrong.append(f'{path.relative_to(PACKAGE)} has {lines} lines; its docstring must say "{LONG_REASON} ..."')
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_decides() -> None:
    silent = [str(path.relative_to(PACKAGE)) for path in FILES if not ast.get_docstring(tree(path))]
    assert not silent, f"no docstring in {', '.join(silent)}"


def test_a_silenced_type_error_says_why() -> None:
    wrong = [
        where(path, number)
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# type: ignore(\[[^\]]*\])?\s*$", line)
    ]
    assert not wrong, f"add the reason behind `# type: ignore[...]`: {', '.join(wrong)}"


def test_file_names_say_what_is_inside() -> None:
    vague = [str(path.relative_to(PACKAGE)) for path in FILES if path.stem.strip("_") in VAGUE_NAMES]
    assert not vague, f"name each after what it decides: {', '.join(vague)}"


def entry_names() -> set[str]:
    entries = [entry for _, entry in catalogue.all_entries()]
    return {name for entry in [*entries, *metrics().values()] for name in (entry.name, *entry.aliases)}


def is_name(node: ast.AST) -> bool:
    """Whether an expression is somebody's name: `x.name`, `name`, `loss_name`."""
    text = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return text == "name" or text.endswith("_name")


def texts(node: ast.AST) -> set[str]:
    """The string literals of an expression or a pattern."""
    return {part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)}


def branches_on_names(module: ast.Module) -> Iterator[tuple[int, set[str]]]:
    for node in ast.walk(module):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(is_name(side) for side in sides):
                yield node.lineno, {text for side in sides for text in texts(side)}
        elif isinstance(node, ast.Match) and is_name(node.subject):
            yield node.lineno, {text for case in node.cases for text in texts(case.pattern)}


def test_nothing_outside_the_catalogue_branches_on_an_entry() -> None:
    known = entry_names()
    wrong = [
        f"{where(path, line)} asks for {', '.join(sorted(found & known))}"
        for module, path in MODULES.items()
        if module.split(".")[0] not in ("catalogue", "metrics")
        for line, found in branches_on_names(tree(path))
        if found & known
    ]
    assert not wrong, "make it a fact that the entry declares:\n" + "\n".join(wrong)
