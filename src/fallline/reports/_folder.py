"""What reports read: the document of a finished run, where its problem came from, and one line about each run for the list of runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fallline._errors import UsageError
from fallline._journal import read

RUNNING_S = 120.0  # a race writes to its journal at every rung; one that has been silent for longer was probably killed


def document(folder: Path) -> dict[str, Any]:
    """The verdict's document of a finished run.

    Raises:
        UsageError: the race has not come to an end.
    """
    found = _json(folder / "verdict.json")
    if found is None:
        raise UsageError(f"the race of {folder} is not over, there is no verdict yet; go on with: fallline resume {folder}")
    return found


def origin(folder: Path) -> dict[str, Any]:
    """Where the run's problem came from: kind, source, options; empty when it is not known."""
    found = (_json(folder / "problem.json") or {}).get("origin")
    return found if isinstance(found, dict) else {}


def summary(folder: Path) -> dict[str, Any]:
    """One run in one row: what it was about, how far it came, when it last wrote."""
    events = list(read(folder / "journal.jsonl"))
    problem = _json(folder / "problem.json") or {}
    facts, began = problem.get("facts", {}), events[0] if events else {}
    last = events[-1] if events else {}
    at = float(last.get("at", folder.stat().st_mtime))
    source = problem.get("origin", {}).get("source") or began.get("source") or ""
    row = {
        "run": str(folder), "problem": Path(source).name, "task": facts.get("task"), "metric": facts.get("metric"),
        "status": "", "verdict": None, "value": None, "baseline": None, "last_event_at": at, "age_s": round(max(time.time() - at, 0.0), 1),
    }  # fmt: skip
    verdict = (_json(folder / "verdict.json") or {}).get("verdict")
    trained = next((event for event in events if event["event"] == "trained"), None)
    if verdict is not None:
        return {**row, "status": "finished", "verdict": verdict["status"], "value": verdict["metric"], "baseline": verdict["baseline"]}
    if trained is not None:
        return {**row, "status": "trained", "metric": trained["metric"], "value": trained["audit"]}
    if last.get("event") in ("interrupted", "failed"):
        return {**row, "status": last["event"]}
    return {**row, "status": "running" if row["age_s"] < RUNNING_S else "unfinished"}


def plan_and_facts(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan of a run and the facts of its problem; empty where they are not written yet."""
    return _json(folder / "plan.json") or {}, (_json(folder / "problem.json") or {}).get("facts") or {}


def finished(folder: Path) -> bool:
    """Whether the run has its verdict."""
    return (folder / "verdict.json").exists()


def _json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return dict(found) if isinstance(found, Mapping) else None
