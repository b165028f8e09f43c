"""Chinese pages of catalogue entries, topics and rules, by kind and name; where there is none, the English page is shown.

A page is `<kind's folder>/<name>.md`. Its first line names the English page that it was made from, by fingerprint, so that a test can
tell when the English has moved on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

FOLDERS = {"loss": "losses", "optimizer": "optimizers", "schedule": "schedules", "clip": "clips", "topic": "topics", "rule": "rules"}
SOURCE = "<!-- source: {} -->"


def page(kind: str, name: str) -> str | None:
    """The Chinese page of an entry ("loss", "optimizer", "schedule", "clip"), a topic or a rule; None where nobody has written one."""
    path = Path(__file__).parent / FOLDERS[kind] / f"{name}.md"
    if not path.is_file():
        return None
    return path.read_text(encoding="utf-8").partition("\n")[2].strip()


def fingerprint(english: str) -> str:
    """What stands in for an English page in the first line of its translation."""
    return hashlib.sha256(english.encode()).hexdigest()[:12]
