"""The contract of a rule: checks that every rule passes, ours or from another package.

from fallline.testing.rules import prove
prove(RULE)
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType

from fallline.catalogue._pages import sections
from fallline.rules import SEVERITIES, STAGES, Cases, Finding, NotApplicable, Rule, judged, rules
from fallline.rules._pages import SECTIONS, page
from fallline.signals import Window
from fallline.signals._setup import Setup

Check = Callable[[Rule], None]  # raises AssertionError that names the rule

RUN_FOR = 20.0  # seconds of training a case may take: many times what its few hundred updates need


def module_of(rule: Rule) -> ModuleType:
    """The module in which a rule is written."""
    return sys.modules[rule.check.__module__]


def cases(rule: Rule, kind: str) -> Cases:
    """`FIRES` or `SILENT` of the rule's file."""
    found: Cases = getattr(module_of(rule), kind, {})
    return found


def check_facts(rule: Rule) -> None:
    """The record says what it must, and its file carries its name."""
    assert re.fullmatch(r"FL\d{3}", rule.code), f"{rule.name}: a code is FL and three digits, got {rule.code}"
    stem = module_of(rule).__name__.rpartition(".")[2]
    assert stem == rule.name, f"{rule.name}: the file is called {stem}.py; users look for a rule under its name"
    assert rule.severity in SEVERITIES, f"{rule.name}: severity is one of {', '.join(SEVERITIES)}, got {rule.severity!r}"
    assert rule.stage in STAGES, f"{rule.name}: stage is one of {', '.join(STAGES)}, got {rule.stage!r}"
    assert all(re.fullmatch(r"[A-Z]\d{2}", fault) for fault in rule.faults), f"{rule.name}: faults are ids such as L01, got {rule.faults}"
    unknown = set(rule.explains) - set(rules())
    assert not unknown, f"{rule.name}: explains {', '.join(sorted(unknown))}, which are no rules"
    assert rule.code not in rule.explains, f"{rule.name}: explains itself"


def check_page(rule: Rule) -> None:
    """The file's docstring is the page: the title, then all sections in order, none empty."""
    text = page(rule)
    assert text.splitlines()[0] == rule.title, f"{rule.name}: the page begins with the title {rule.title!r}"
    found = sections(text, SECTIONS)
    assert tuple(found) == SECTIONS, f"{rule.name}: a page has the sections {', '.join(SECTIONS)} in this order, got {', '.join(found)}"
    for heading in SECTIONS:
        assert len(found[heading]) > 30, f"{rule.name}: the section {heading!r} says nothing"


def check_fires(rule: Rule) -> None:
    """In each of its cases the rule finds its fault, with evidence and a remedy; what it offers from outside can be made there."""
    assert cases(rule, "FIRES"), f"{rule.name}: no case in which it fires"
    for words, make in cases(rule, "FIRES").items():
        window = Window(Setup(make(), run_for=RUN_FOR))
        outcome = judged(rule, window)
        assert isinstance(outcome, Finding), f"{rule.name}: does not fire on {words!r}: {outcome}"
        assert outcome.code == rule.code, f"{rule.name}: gives the finding of another rule, {outcome.code}"
        assert len(outcome.evidence) > 20, f"{rule.name}: no evidence on {words!r}"
        assert outcome.remedy, f"{rule.name}: no remedy on {words!r}"
        assert not outcome.evidence.endswith("."), f"{rule.name}: evidence is set into a sentence and ends without a full stop"
        for change in () if rule.changes is None else rule.changes(window, outcome):
            assert change.words, f"{rule.name}: a change on {words!r} does not say what it does"
            assert change.source, f"{rule.name}: a change on {words!r} does not say what to write"
            Setup(change.make(make()), run_for=0.0).make()


def check_silent(rule: Rule) -> None:
    """In none of its right set-ups the rule says more than what is worth knowing."""
    assert cases(rule, "SILENT"), f"{rule.name}: no case in which it is silent"
    for words, make in cases(rule, "SILENT").items():
        outcome = judged(rule, Window(Setup(make(), run_for=RUN_FOR)))
        quiet = outcome is None or isinstance(outcome, NotApplicable) or outcome.severity == "info"
        assert quiet, f"{rule.name}: fires on {words!r}: {outcome}"


CHECKS: tuple[Check, ...] = (check_facts, check_page, check_fires, check_silent)


def prove(rule: Rule) -> None:
    """Put one rule through all checks; raises AssertionError with the first that fails."""
    for check in CHECKS:
        check(rule)
