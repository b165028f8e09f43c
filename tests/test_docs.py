"""The documents agree with the code and with each other: links, languages, words, commands, names."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

import fallline

ROOT = Path(__file__).resolve().parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")

WORDS = re.findall(
    r"\w+",
    """
    problem profile metric loss recipe hyperparameter space catalogue entry family prior portfolio candidate baseline trial
    race plan budget price length horizon rung policy decision engine lane measurement incumbent verdict regret signal rule
    finding remedy severity journal lr weight_decay l2 step epoch train valid audit seed schedule clip link cooldown
    interval covers
    """,
)


def documents() -> list[Path]:
    """Every Markdown file of the repository that is ours."""
    found = []
    for folder, inside, names in os.walk(ROOT):
        inside[:] = [
            name for name in inside if not name.startswith(".") and name not in ("runs", "build", "dist") and "egg-info" not in name
        ]
        found += [Path(folder) / name for name in names if name.endswith(".md")]
    return sorted(found)


def blocks(path: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a document: (language, text)."""
    return FENCE.findall(path.read_text(encoding="utf-8"))


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@cache
def help_of(*arguments: str) -> str:
    """What the command line says, on a wide plain terminal."""
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1", "PYTHONUTF8": "1"}
    program = "import sys; from fallline._cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, *arguments, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment, timeout=60, check=False)
    assert done.returncode == 0, f"`fallline {' '.join(arguments)} --help` ends with {done.returncode}: {done.stderr}"
    return done.stdout


@cache
def verbs() -> frozenset[str]:
    """The verbs that `fallline --help` lists."""
    listed = help_of().partition("Commands")[2]
    return frozenset(re.findall(r"^[│|\s]*([a-z]+)\s{2,}\S", listed, re.MULTILINE))


def calls(text: str) -> list[tuple[str, list[str]]]:
    """Calls of the command line in a text: (verb, flags)."""
    found = re.findall(r"fallline ([a-z]+)([^`#\n]*)", text)
    return [(verb, FLAG.findall(rest)) for verb, rest in found]


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(prose(path)) if not re.match(r"[a-z]+:|#", target)]
    lost = [target for target in targets if not (path.parent / target).exists()]
    assert not lost, f"{path.relative_to(ROOT)} links to {', '.join(lost)}"


def test_both_readmes_open_with_a_link_to_the_other() -> None:
    english, chinese = (path.read_text(encoding="utf-8").splitlines()[0] for path in READMES)
    assert "(README.zh-CN.md)" in english
    assert "(README.md)" in chinese


def test_both_readmes_have_the_same_shape() -> None:
    english, chinese = ([len(marks) for marks in re.findall(r"^(#+) ", prose(path), re.MULTILINE)] for path in READMES)
    assert english == chinese, "headings differ in number or depth"
    assert prose(READMES[0]).count("\n|") == prose(READMES[1]).count("\n|"), "tables differ in rows"


def uncommented(language: str, text: str) -> str:
    return ast.unparse(ast.parse(text)) if language == "python" else re.sub(r"\s*#.*", "", text)


def test_both_readmes_show_the_same_code() -> None:
    english, chinese = ([(language, uncommented(language, text)) for language, text in blocks(path)] for path in READMES)
    assert english == chinese


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_code_blocks_are_valid(path: Path) -> None:
    readers = {"python": ast.parse, "toml": tomllib.loads, "json": json.loads}
    for language, text in blocks(path):
        if language in readers:
            readers[language](text)


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_public_names_in_documents_exist(path: Path) -> None:
    trees = [ast.parse(text) for language, text in blocks(path) if language == "python"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "fallline"}
    unknown = sorted(used - set(dir(fallline)))  # callbacks are there only beside their frameworks
    assert not unknown, f"fallline has no {', '.join(unknown)}"


def test_the_python_quick_start_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    section = READMES[0].read_text(encoding="utf-8").partition("## In Python")[2].partition("\n## ")[0]
    code = "\n".join(text for language, text in FENCE.findall(section) if language == "python")
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert getattr(names["verdict"], "status", None) in ("better", "no difference shown", "worse")


def test_the_glossary_holds_every_word() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = {word.strip() for words, _ in rows for word in words.split(",")}
    missing = [word for word in WORDS if word not in told]
    assert not missing, f"docs/glossary.md lacks {', '.join(missing)}"
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) for words, chinese in rows if words != "Word"), "a word lacks its Chinese term"


def test_the_readme_lists_exactly_the_verbs_there_are() -> None:
    listed = set(re.findall(r"^\| `fallline ([a-z]+)", READMES[0].read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == verbs()


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_documents_exist(path: Path) -> None:
    for verb, flags in calls(path.read_text(encoding="utf-8")):
        assert verb in verbs(), f"`fallline {verb}` is no command"
        unknown = [flag for flag in flags if flag not in FLAG.findall(help_of(verb))]
        assert not unknown, f"`fallline {verb}` has no {', '.join(unknown)}"


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "fallline"
    named = set(re.findall(r"`([\w./]+)`", text))
    top = {path.name for path in package.glob("*.py")} | {f"{path.parent.name}/" for path in package.glob("*/*.py")}
    missing = sorted(top - named - {"__init__.py"})
    assert not missing, f"docs/architecture.md has no line for {', '.join(missing)}"


def shown_demo() -> str:
    """What README.md says that `make demo` prints."""
    block = re.search(r"<!-- output: make demo -->\n```text\n(.*?)```\n<!-- /output -->", READMES[0].read_text(encoding="utf-8"), re.DOTALL)
    assert block, "README.md shows no output of `make demo`"
    return block[1]


def without_figures(text: str) -> str:
    """A report with its numbers, the name of its run and the widths that follow from them taken out; times differ from run to run."""
    text = re.sub(r"\d{8}-\d{6}(-\d+)?", "RUN", text)
    text = re.sub(r"[-+]?\d[\d,.]*(e[-+]\d+)?( min| h| s)?\b", "#", text)
    return re.sub(r"[\s-]+", " ", text)


@pytest.mark.slow
def test_the_readme_shows_what_make_demo_prints(tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("demo: .venv/.demo\n")[2].splitlines()[0]
    arguments = recipe.split("fallline ", 1)[1].split()
    shutil.copytree(ROOT / "examples" / "data", tmp_path / "examples" / "data")  # a link would be followed, and printed as its target
    command = [sys.executable, "-m", "fallline", *arguments]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    assert without_figures(done.stdout) == without_figures(shown_demo()), "put the output of `make demo` into both READMEs"
