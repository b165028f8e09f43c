"""Which finding comes first: causes before what they explain, consequences folded under them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fallline.rules import SEVERITIES, STAGES, Finding, Rule

SYMPTOM = "symptom"


def ranked(found: Sequence[Finding], known: dict[str, Rule]) -> tuple[Finding, ...]:
    """Findings, the root first.

    A finding is folded under the first cause that says it explains it. A symptom, which says what is seen and not why, is folded under
    the most serious cause, whatever that is, unless the cause is only worth knowing.
    """
    order = sorted(found, key=lambda finding: _key(finding, known))
    roots: list[Finding] = []
    folded: dict[str, list[Finding]] = {}
    for finding in order:
        cause = next((root for root in roots if _explains(root, finding, known)), None)
        if cause is None:
            roots.append(finding)
        else:
            folded.setdefault(cause.code, []).append(finding)
    return tuple(replace(root, consequences=tuple(folded.get(root.code, ()))) for root in roots)


def _key(finding: Finding, known: dict[str, Rule]) -> tuple[bool, int, int, int, str]:
    """Causes that forbid success first, then symptoms of the same weight, then what is only worth knowing."""
    stage = STAGES.index(known[finding.code].stage)
    explained = sum(finding.code in rule.explains for rule in known.values())
    return finding.severity == "info", SEVERITIES.index(finding.severity), stage, explained, finding.code


def _explains(cause: Finding, finding: Finding, known: dict[str, Rule]) -> bool:
    if finding.code in _reached(cause.code, known):
        return True
    mere_symptom = known[finding.code].stage == SYMPTOM and known[cause.code].stage != SYMPTOM
    return mere_symptom and cause.severity != "info"


def _reached(code: str, known: dict[str, Rule]) -> set[str]:
    """Codes of all rules that a cause explains, directly or through another."""
    reached: set[str] = set()
    ahead = list(known[code].explains)
    while ahead:
        following = ahead.pop()
        if following not in reached and following in known:
            reached.add(following)
            ahead += known[following].explains
    return reached - {code}
