"""JSON, schema 1: the document of `choose` with exactly the keys of the schema, whatever else a run keeps for its own reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from fallline.reports import Report
from fallline.reports._folder import document

VERDICT = ("status", "metric", "baseline", "difference", "interval", "confidence", "covers", "seeds", "cut_by_deadline")
CIRCUMSTANCES = ("compared_at", "overruled", "winner", "splits")  # whether the figures are those of two full trainings on one split

# A key with None is handed on as it is; a mapping names what is taken from below it. A key may be added in schema 1, never taken away.
SCHEMA: Mapping[str, Any] = {
    "schema": None,
    "run": None,
    "versions": None,
    "problem": dict.fromkeys(("task", "train", "valid", "audit", "metric", "direction", "length_steps")),
    "recipe": None,
    "baseline_recipe": None,
    "plan": None,
    "verdict": dict.fromkeys((*VERDICT, *CIRCUMSTANCES)),
    "cost": dict.fromkeys(("wall_s", "steps", "plain_training_s", "price_work", "price_wall")),
    "candidates": dict.fromkeys(("name", "recipe", "family", "status", "stopped_at", "metric", "reason")),
    "artifacts": dict.fromkeys(("model", "recipe", "journal", "report")),
}


def schema_1(found: Mapping[str, Any], schema: Mapping[str, Any] = SCHEMA) -> dict[str, Any]:
    """The part of a document that schema 1 promises, in its order."""
    out: dict[str, Any] = {}
    for key, inner in schema.items():
        value = found[key]
        if inner is None:
            out[key] = value
        elif isinstance(value, list):
            out[key] = [schema_1(row, inner) for row in value]
        else:
            out[key] = schema_1(value, inner)
    return out


def write(folder: Path, out: TextIO) -> None:
    out.write(json.dumps(schema_1(document(folder)), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


ENTRY = Report(name="json", title="JSON, schema 1", write=write)
