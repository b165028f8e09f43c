"""Rules: what can be wrong with a training. One rule a file (`RULE = Rule(...)`), named after the fault; they are found by themselves.

The file's docstring is the page that `fallline explain CODE` prints: the title, then How it is detected, Why it matters, What to do.
`check(window)` reads signals from the window and gives one of three outcomes: a `Finding`, None where the evidence speaks against the
fault, `NotApplicable` where the question does not arise or cannot be decided. `changes(window, finding)`, where a rule has it, gives the
remedies that can be made from outside and so be tried, best first. `FIRES` and `SILENT` are set-ups, each under the words that
say what it is: in the first the rule must find its fault, in the second it must not. A rule imports torch only inside functions.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fallline._discover import discover

if TYPE_CHECKING:
    from fallline._problem import Problem
    from fallline.changes import Change
    from fallline.signals import Window

SEVERITIES = ("stop", "warn", "info")  # the training cannot work; it is likely to suffer; worth knowing
STAGES = ("data", "loss", "model", "optimizer", "schedule", "setting", "symptom", "crash")  # causes first: each may explain what follows it

Cases = Mapping[str, Callable[[], "Problem"]]  # what a set-up is, in words, and how it is made


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule says of a set-up, and on what evidence."""

    code: str
    name: str  # of the rule: the fault in snake case
    title: str
    faults: tuple[str, ...]  # ids of the list of known faults, at most two, the most specific first
    severity: str
    evidence: str  # one or two sentences with their numbers
    remedy: str
    figures: Mapping[str, float] = field(default_factory=dict)  # the numbers of the evidence
    place: str = ""  # the parameter, layer or argument
    step: int | None = None  # the update at which it was seen; None: before training
    changes: tuple[Change, ...] = ()  # the remedy, and others beside it, where it can be made from outside
    consequences: tuple[Finding, ...] = ()  # findings that this one explains

    def __post_init__(self) -> None:
        assert self.severity in SEVERITIES, f"{self.code}: severity is one of {', '.join(SEVERITIES)}, got {self.severity!r}"
        assert len(self.faults) <= 2, f"{self.code}: at most two faults, got {', '.join(self.faults)}"


@dataclass(frozen=True)
class NotApplicable:
    """The question of a rule does not arise, or cannot be decided here; the reason says what would decide it."""

    reason: str


Outcome = Finding | NotApplicable | None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One fault that can be found."""

    code: str  # FLnnn
    name: str  # the fault in snake case, as the file is called
    title: str
    faults: tuple[str, ...]
    severity: str  # its usual one; a finding may say less where less is at stake
    stage: str  # of STAGES
    check: Callable[[Window], Outcome]
    explains: tuple[str, ...] = ()  # codes of rules whose findings are consequences of this one; symptoms of any cause need no mention
    changes: Callable[[Window, Finding], Sequence[Change]] | None = None  # remedies of its finding that can be made from outside

    def finding(self, evidence: str, remedy: str, **more: Any) -> Finding:
        """A finding of this rule; `more` are further fields, or another severity or other faults than the usual."""
        usual = {"faults": self.faults[:2], "severity": self.severity}
        return Finding(code=self.code, name=self.name, title=self.title, evidence=evidence, remedy=remedy, **{**usual, **more})


def rules() -> dict[str, Rule]:
    """All rules by code, in the order of codes."""
    return {rule.code: rule for rule in sorted(discover("fallline.rules", Rule, "RULE").values(), key=lambda rule: rule.code)}


def judged(rule: Rule, window: Window) -> Outcome:
    """The outcome of one rule; a signal that cannot be measured here makes it not applicable."""
    from fallline.signals import Unavailable

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the user's code may warn of what the rule looks for
            return rule.check(window)
    except Unavailable as missing:
        return NotApplicable(str(missing))


def offered(rule: Rule, window: Window, finding: Finding) -> Finding:
    """The finding with the changes that its rule offers; none where they cannot be made out."""
    if rule.changes is None:
        return finding
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in `judged`
            return replace(finding, changes=tuple(rule.changes(window, finding)))
    except Exception:  # a signal that is not there, or the user's code in a place where it was not expected: the finding stands without
        return finding
