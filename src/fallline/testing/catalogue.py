"""The contract of a catalogue entry: checks that every loss, optimizer, schedule and clip passes, ours or from another package.

from fallline.testing.catalogue import prove
prove(ENTRY)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from fallline.catalogue import FAMILIES, Clip, Entry, Hyperparameter, Loss, Optimizer, Schedule, Value
from fallline.catalogue._pages import SECTIONS, module_of, page, sections
from fallline.testing import clips, losses, optimizers, schedules

Check = Callable[[Any, int], None]  # of an entry and a seed; raises AssertionError that names the entry

NEUTRAL = (0, 0.0, None)  # values that switch a hyperparameter off; they may stand below a range that is drawn on a logarithmic scale


def _in_range(hyper: Hyperparameter, value: Value) -> bool:
    if hyper.choices:
        return value in hyper.choices
    if hyper.low is None or hyper.high is None or (hyper.log and value in NEUTRAL):
        return True
    return isinstance(value, int | float) and hyper.low <= value <= hyper.high


def check_facts(entry: Entry, seed: int = 0) -> None:
    """The record says what it must, and its file carries its name."""
    assert entry.name.isidentifier() and entry.name == entry.name.lower(), f"{entry.name}: a name is one lower-case word"
    assert entry.title, f"{entry.name}: no title"
    assert entry.source, f"{entry.name}: no source"
    stem = module_of(entry).__name__.rpartition(".")[2]
    assert stem == entry.name or entry.text, f"{entry.name}: the file is called {stem}.py; users look for an entry under its name"
    if isinstance(entry, Optimizer):
        assert entry.family in FAMILIES, f"{entry.name}: family is one of {', '.join(FAMILIES)}, got {entry.family!r}"
        assert entry.decay in ("weight_decay", "l2", ""), f"{entry.name}: decay is weight_decay, l2 or nothing, got {entry.decay!r}"
        assert not entry.decay or entry.decay in entry.space, f"{entry.name}: decay is spelled {entry.decay}, which is not in its space"
        assert "lr" in entry.space, f"{entry.name}: no lr in its space"


def check_space(entry: Entry, seed: int = 0) -> None:
    """Defaults have reasons and lie in their ranges; the example has another, possible value for every hyperparameter."""
    assert set(entry.example) == set(entry.space), f"{entry.name}: example and space differ in {set(entry.example) ^ set(entry.space)}"
    entry.check(entry.defaults())
    entry.check(entry.example)
    for name, hyper in entry.space.items():
        assert hyper.why, f"{entry.name}: the default of {name} has no reason"
        assert _in_range(hyper, hyper.default), f"{entry.name}: the default of {name}, {hyper.default}, is outside its range"
        assert entry.example[name] != hyper.default, f"{entry.name}: the example of {name} is its default; it would prove nothing"
        assert not hyper.log or (hyper.low is not None and hyper.low > 0), f"{entry.name}: {name} has no logarithmic range above zero"
        assert hyper.low is None or hyper.high is None or hyper.low < hyper.high, f"{entry.name}: the range of {name} is empty"
        assert not isinstance(hyper.default, float) or math.isfinite(hyper.default), f"{entry.name}: {name} is {hyper.default}"


def check_page(entry: Entry, seed: int = 0) -> None:
    """The file's docstring is the page that `fallline explain` prints: the title, then four sections in order, none empty."""
    text = page(entry)
    lines = text.splitlines()
    assert lines and lines[0] == entry.title, f"{entry.name}: the page begins with the title {entry.title!r}"
    found = sections(text)
    assert tuple(found) == SECTIONS, f"{entry.name}: a page has the sections {', '.join(SECTIONS)} in this order, got {', '.join(found)}"
    for heading in SECTIONS:
        assert len(found[heading]) > 20, f"{entry.name}: the section {heading!r} says nothing"
    assert 12 <= len(lines) <= 30, f"{entry.name}: a page has 12 to 30 lines, this one {len(lines)}"


COMMON: tuple[Check, ...] = (check_facts, check_space, check_page)
OF_KIND: dict[type[Entry], tuple[Check, ...]] = {
    Loss: losses.CHECKS,
    Optimizer: optimizers.CHECKS,
    Schedule: schedules.CHECKS,
    Clip: clips.CHECKS,
}


def checks(entry: Entry) -> Iterator[Check]:
    """All checks that an entry of this kind has to pass."""
    yield from COMMON
    yield from OF_KIND[type(entry)]


def prove(entry: Entry, seed: int = 0) -> None:
    """Put one entry through all checks; raises AssertionError with the first that fails."""
    for check in checks(entry):
        check(entry, seed)
