"""Which finding comes first: causes before what they explain, consequences folded under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fallline.rules import SEVERITIES, STAGES, Finding, Rule

SYMPTOMS = ("symptom", "crash")  # stages whose findings say what is seen and not why: any cause may explain them


def ranked(found: Sequence[Finding], known: dict[str, Rule]) -> tuple[Finding, ...]:
    """Findings, the root first; each is folded under the cause that explains it, if one was found that is more than worth knowing.

    Of several causes the earliest of the stages is taken. A root counts as much as the gravest of what it explains.
    """
    order = sorted(found, key=lambda finding: _key(finding, known))
    causes: dict[str, str] = {}
    for place, finding in enumerate(order):
        # where two explain each other, the earlier is the cause
        later = [other for other in order[place + 1 :] if not _explains(finding, other, known)]
        fitting = [other for other in (*order[:place], *later) if _explains(other, finding, known)]
        cause = next((other for other in fitting if not _leads_to(other.code, finding.code, causes)), None)
        if cause is not None:
            causes[finding.code] = cause.code
    roots = [finding for finding in order if finding.code not in causes]
    below: dict[str, list[Finding]] = {root.code: [] for root in roots}
    for finding in order:
        if finding.code in causes:
            below[_root(finding.code, causes)].append(finding)
    whole = [replace(root, consequences=tuple(below[root.code])) for root in roots]
    return tuple(sorted(whole, key=lambda root: min([_weight(root), *map(_weight, root.consequences)])))


def _weight(finding: Finding) -> int:
    return SEVERITIES.index(finding.severity)


def _key(finding: Finding, known: dict[str, Rule]) -> tuple[bool, int, int, str]:
    """Causes before symptoms, the gravest first, then in the order in which a training is put together."""
    stage = known[finding.code].stage
    return stage in SYMPTOMS, _weight(finding), STAGES.index(stage), finding.code


def _explains(cause: Finding, finding: Finding, known: dict[str, Rule]) -> bool:
    if cause.severity == "info":
        return finding.severity == "info" and finding.code in known[cause.code].explains
    mere_symptom = known[finding.code].stage in SYMPTOMS and known[cause.code].stage not in SYMPTOMS
    return mere_symptom or finding.code in known[cause.code].explains


def _leads_to(code: str, goal: str, causes: dict[str, str]) -> bool:
    """Whether the chain of causes above `code` comes to `goal`: two rules may explain each other."""
    while code in causes:
        code = causes[code]
        if code == goal:
            return True
    return False


def _root(code: str, causes: dict[str, str]) -> str:
    while code in causes:
        code = causes[code]
    return code
