"""Lists for people and for programs: a table, one JSON document, or one JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fallline.verbs._options import OutputFormat

Row = dict[str, Any]


def show(
    what: str,
    rows: Sequence[Row],
    columns: Mapping[str, Callable[[Row], str]],
    output_format: OutputFormat,
    *,
    right: Sequence[int] = (),
    none: str = "",
) -> None:
    """Print rows: as a table with `columns` (heading -> cell), or whole as JSON under the key `what`."""
    if output_format is OutputFormat.JSON:
        sys.stdout.write(json.dumps({"schema": 1, what: list(rows)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    elif output_format is OutputFormat.JSONL:
        sys.stdout.writelines(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    elif rows:
        from fallline.reports._layout import table

        table(sys.stdout, list(columns), [[cell(row) for cell in columns.values()] for row in rows], right=right)
    else:
        sys.stdout.write(f"{none or f'no {what}'}\n")
