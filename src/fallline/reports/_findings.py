"""Findings as text: the root first, its consequences under it, what to do, and what could not be asked."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fallline._check import Findings
    from fallline.rules import Finding

WIDTH = 110  # characters a line: what a terminal beside an editor has


def told(findings: Findings) -> str:
    """All findings, as the command line prints them."""
    blocks = ["\n".join(_lines(finding)) for finding in findings]
    asked = len(findings.silent) + sum(1 + len(finding.consequences) for finding in findings)
    last = f"{_count(len(findings), 'finding')}; {asked} rules looked, {len(findings.not_applicable)} do not apply here."
    return "\n\n".join([*blocks, last])


def _lines(finding: Finding) -> list[str]:
    place = f" at {finding.place}" if finding.place else ""
    when = f", step {finding.step}" if finding.step is not None else ""
    lines = [f"{finding.severity}  {finding.code}  {finding.title}{place}{when}"]
    lines += _wrapped(f"{finding.evidence}.", "      ")
    lines += _wrapped(f"Do: {finding.remedy}.", "      ")
    for below in finding.consequences:
        lines += _wrapped(f"explains {below.code} {below.title}: {below.evidence}.", "      ")
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _count(number: int, noun: str) -> str:
    return f"No {noun}s" if not number else f"{number} {noun}{'s' if number > 1 else ''}"
