"""The plan of a race, before it is run: what would be trained, how long, in how much memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from fallline._counted import sized
from fallline.reports._layout import table
from fallline.reports._words import OWN, part, setting


def write(plan: Mapping[str, Any], lines: Sequence[str], out: TextIO, *, as_json: bool) -> None:
    """A plan as plan.json has it, or its lines in words and a table of who takes part."""
    if as_json:
        out.write(json.dumps(plan, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return
    out.write("\n".join(lines) + "\n")
    memory = plan["estimate"].get("memory_bytes")
    if memory:
        out.write(f"{sized(memory)} of memory for weights, gradients, optimizer states and a batch\n")
    rows = [["baseline", *_recipe(plan["baseline"]), "what every claim is made against"]]
    rows += [[row["name"], *_recipe(row["recipe"]), row["reason"]] for row in plan["candidates"]]
    out.write("\n")
    table(out, ["candidate", "loss", "optimizer", "lr", "schedule", "why it is tried"], rows, right=(3,))


def _recipe(recipe: Mapping[str, Any]) -> list[str]:
    optimizer = recipe["optimizer"]
    names = {kind: OWN if recipe[kind]["name"] == "own" else recipe[kind]["name"] for kind in ("loss", "optimizer", "schedule")}
    return [part(recipe["loss"]), names["optimizer"], setting(optimizer.get("lr", "-")), names["schedule"]]
