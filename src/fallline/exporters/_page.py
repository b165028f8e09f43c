"""Page: a script in the making: settings, sections and the lines of `main`, put together with the imports that are used and no others."""

from __future__ import annotations

import ast
import io
import pprint
import sys
import textwrap
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass, field

from fallline.exporters._source import Copied, bound_names, joined, plain, renamed

WIDTH = 120  # of wrapped text; lines copied from elsewhere may be longer
FITTED = "Numbers that were fitted"  # long and not for reading: it comes last
ORDER = (
    "Random numbers", "What you fill in", "Data", "Model", "Batches",
    "Loss", "Optimizer", "Gradient clipping", "Learning rate", "Average of the weights", "Judging", FITTED,
)  # fmt: skip


@dataclass
class Section:
    """A heading and what stands below it."""

    title: str
    texts: list[str] = field(default_factory=list)


@dataclass
class Page:
    """A script in the making. Sections stand in the order in which they are opened."""

    header: str = ""
    imports: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    sections: dict[str, Section] = field(default_factory=dict)
    main: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)  # lines between the settings and the user's text
    theirs: str = ""  # a user's own text: it stands behind the settings, and its names are left alone
    beside: dict[str, str] = field(default_factory=dict)  # files that lie beside the script, by name
    future: bool = False  # whether that text postpones annotations

    def need(self, *statements: str) -> None:
        """Import statements, one name each; what no line uses is left out in the end."""
        self.imports += statements

    def setting(self, name: str, value: object, why: str = "") -> None:
        """A value that a reader may want to change, at the top."""
        line = f"{name} = {literal(value)}"
        fits = len(line) + len(why) <= WIDTH and "\n" not in line
        self.settings += [f"{line}  # {why}"] if why and fits else [f"# {why}", line] if why else [line]

    def add(self, section: str, text: str | Copied) -> None:
        """Definitions below a heading; a text that stands there already is not repeated."""
        if isinstance(text, Copied):
            self.imports += text.imports
            texts: Iterable[str] = text.definitions.values()
        else:
            body, imports = plain(textwrap.dedent(text))
            self.imports += imports
            texts = (body,)
        known = {text for part in self.sections.values() for text in part.texts}
        self.sections.setdefault(section, Section(section)).texts += [text for text in texts if text and text not in known]

    def render(self) -> str:
        """The whole script."""
        ordered = sorted(self.sections.values(), key=lambda section: ORDER.index(section.title))
        ours = joined_sections(section for section in ordered if section.texts and section.title != FITTED)
        fitted = joined_sections(section for section in ordered if section.texts and section.title == FITTED)
        main = "\n".join(["def main():", *(f"    {line}" if line else "" for line in self.main)])
        ending = (fitted + "\n\n\n" if fitted else "") + 'if __name__ == "__main__":\n    main()'
        settings = "\n".join([*self.settings, *self.before])
        imports = list(dict.fromkeys(self.imports))
        if self.theirs:
            settings, ours, main, ending, imports = self._apart([settings, ours, main, ending], imports)
        used = names_in(settings, ours, main, ending)
        theirs = set() if not self.theirs else {_name(line) for line in _import_lines(self.theirs) & set(imports)} - names_in(settings)
        imports = [statement for statement in imports if _name(statement) in used - theirs]
        parts = [f'"""{self.header}"""']
        parts += ["from __future__ import annotations"] if self.future else []
        parts += [sorted_imports(imports), settings]
        parts += [_heading("Your own part") + "\n\n" + self.theirs.strip("\n")] if self.theirs else []
        return "\n\n".join(parts) + "\n\n\n" + ours + "\n\n\n" + _heading("All together") + "\n\n\n" + main + "\n\n\n" + ending + "\n"

    def _apart(self, texts: list[str], imports: list[str]) -> tuple[str, str, str, str, list[str]]:
        """Our text with every name changed that the user's text binds too, unless both import the same."""
        taken = bound_names(self.theirs)
        same = {_name(statement) for statement in imports if statement in _import_lines(self.theirs)}
        ours = bound_names("\n\n".join([*imports, *texts]))
        names = {name: _free(name, taken | ours) for name in (ours & taken) - same}
        texts = [renamed(text + "\n", names).rstrip("\n") for text in texts]
        aliased = [
            f"{statement.partition(' as ')[0]} as {names[_name(statement)]}" if _name(statement) in names else statement
            for statement in imports
        ]
        return texts[0], texts[1], texts[2], texts[3], aliased


class Literal(str):
    """Text that is Python already."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Spelled(float):
    """A number that is shown by the name of its setting."""

    name: str

    def __new__(cls, value: float, name: str) -> Spelled:
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __repr__(self) -> str:
        return self.name


def joined_sections(sections: Iterable[Section]) -> str:
    out = []
    for section in sections:
        text = joined(section.texts)
        gap = "\n\n\n" if text.startswith(("def ", "class ", "@")) else "\n\n"
        out.append(_heading(section.title) + gap + text)
    return "\n\n\n".join(out)


def names_in(*texts: str) -> set[str]:
    """Every name that is read in these texts."""
    return {node.id for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def sorted_imports(statements: Iterable[str]) -> str:
    """Imports in two blocks, the standard library's first, names from one module in one line."""
    blocks: tuple[dict[str, list[str]], dict[str, list[str]]] = ({}, {})
    for statement in sorted(set(statements), key=lambda text: (text.startswith("from"), text.lower())):
        words = statement.split()
        block = blocks[words[1].split(".")[0] not in sys.stdlib_module_names]
        if words[0] == "import":
            block[statement] = []
        else:
            block.setdefault(" ".join(words[:3]), []).append(" ".join(words[3:]))
    for block in blocks:
        for names in block.values():
            names.sort(key=lambda name: (not name.isupper(), not name[:1].isupper(), name.lower()))
    written = ["\n".join(start + (" " + ", ".join(names) if names else "") for start, names in block.items()) for block in blocks]
    return "\n\n".join(block for block in written if block)


def wrapped(text: str, first: str = "", indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def in_lines(text: str, indent: str = "    ") -> str:
    """A long text without spaces as a Python literal in brackets, a piece a line."""
    pieces = [text[start : start + WIDTH - 10] for start in range(0, len(text), WIDTH - 10)] or [""]
    return f'"{text}"' if len(pieces) == 1 else "(\n" + "\n".join(f'{indent}"{piece}"' for piece in pieces) + "\n)"


def literal(value: object) -> str:
    """A value as Python text, strings in double quotes."""
    text = pprint.pformat(value, width=WIDTH, compact=True, sort_dicts=False)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    lines = text.splitlines()
    for token in reversed(tokens):
        if token.type == tokenize.STRING and token.string.startswith("'") and '"' not in token.string:
            row, column = token.start[0] - 1, token.start[1]
            lines[row] = lines[row][:column] + '"' + token.string[1:-1].replace("\\'", "'") + '"' + lines[row][token.end[1] :]
    return "\n".join(lines)


def _heading(title: str) -> str:
    return f"# {title} ".ljust(WIDTH, "-")


def _name(statement: str) -> str:
    return statement.split()[-1].partition(".")[0]


def _import_lines(text: str) -> set[str]:
    """The import statements at the top of a text, one for each name."""
    top = [ast.unparse(statement) for statement in ast.parse(text).body if isinstance(statement, ast.Import | ast.ImportFrom)]
    return set(plain("\n".join(top))[1])


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name
