"""Repair: what `fix` hands back: which remedies were tried and proven, and the set-up with those that are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline._verdict import BETTER, Comparison
from fallline.changes import Change

if TYPE_CHECKING:
    from fallline._check import Findings
    from fallline._problem import Problem
    from fallline._recipe import Recipe
    from fallline.rules import Finding

REPAIRED = "repaired"
BLIND = "a blind lr"
NOT_PROVEN = "nothing proven"
NOTHING_TO_TRY = "nothing to try"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One remedy, or several at once, beside the set-up that it was tried on."""

    codes: tuple[str, ...]  # of the findings it answers
    changes: tuple[Change, ...]  # all of the arm: those kept before, and what is tried
    words: str  # what is tried
    source: str  # what to write
    round: int  # 1: on the user's set-up; from 2 on with what was kept before
    before: float | None  # the metric on the deciding split; None: it does not train
    after: float | None
    interval: tuple[float, float] | None  # of after - before, 95 %
    status: str  # better, no difference shown, worse
    reason: str = ""  # why there is no figure
    kept: bool = False

    @property
    def proven(self) -> bool:
        return self.status == BETTER

    def document(self) -> dict[str, Any]:
        return {
            "codes": list(self.codes), "remedy": self.words, "source": self.source, "round": self.round, "before": self.before,
            "after": self.after, "interval": None if self.interval is None else list(self.interval), "status": self.status,
            "reason": self.reason, "kept": self.kept,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Written:
    """A remedy that only the user's source can have: the line to change, and why."""

    code: str
    title: str
    place: str
    remedy: str
    reason: str = ""

    def document(self) -> dict[str, Any]:
        return {"code": self.code, "title": self.title, "place": self.place, "remedy": self.remedy, "reason": self.reason}


def to_write(findings: Iterable[Finding], tried: Sequence[Tried], *, mended: bool) -> tuple[Written, ...]:
    """Findings above info whose remedy could not be tried; where something was mended, only those that nothing could be tried for."""
    codes, rows = {code for row in tried for code in row.codes}, []
    for finding in findings:
        symptom = "other findings" in finding.remedy
        if finding.severity == "info" or finding.code in codes or symptom or (mended and finding.changes):
            continue
        reason = "not tried: price or time were over" if finding.changes else ""
        if any(change.beyond_valid for change in finding.changes):
            reason = "valid cannot judge it; give an audit split to have it tried"
        rows.append(Written(code=finding.code, title=finding.title, place=finding.place, remedy=finding.remedy, reason=reason))
    return tuple(rows)


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What came of trying remedies. `problem` is the user's with what is kept; `recipe` trains it as it was trained here."""

    status: str  # of the constants above
    problem: Problem
    recipe: Recipe | None
    findings: Findings
    kept: tuple[Change, ...]
    tried: tuple[Tried, ...]
    sweep: tuple[Tried, ...]  # blind learning rates on the user's set-up
    written: tuple[Written, ...]
    metric: str
    direction: str
    fault: str  # why the set-up as it is has no value
    before: float | None  # on the split that reports
    after: float | None
    comparison: Comparison | None  # after against before, on the split that reports
    against_sweep: str  # how what is kept compares with the best of the sweep
    reported_on: str  # valid or audit, in words
    cost: Mapping[str, float]  # in plain trainings, and seconds
    by_seed: Mapping[str, tuple[float, ...]]  # "before" and "after" on the split that decides, from each seed

    def __str__(self) -> str:
        from fallline.reports._repair import told

        return told(self)

    def document(self) -> dict[str, Any]:
        """Everything as plain JSON, schema 1."""
        interval = None if self.comparison is None else [float(end) for end in self.comparison.interval]
        return {
            "status": self.status, "metric": self.metric, "direction": self.direction, "reported_on": self.reported_on,
            "fault": self.fault, "before": self.before, "after": self.after,
            "difference": None if self.comparison is None else self.comparison.difference, "interval": interval,
            "covers": None if self.comparison is None else self.comparison.covers, "kept": [change.document() for change in self.kept],
            "tried": [row.document() for row in self.tried], "sweep": [row.document() for row in self.sweep],
            "against_sweep": self.against_sweep, "in_your_source": [row.document() for row in self.written], "cost": dict(self.cost),
            "by_seed": {name: list(values) for name, values in self.by_seed.items()},
        }  # fmt: skip
