"""NaN or inf in the data

How it is detected:
Inputs and targets of train and valid are counted for values that are not finite.

Why it matters:
One NaN makes the loss NaN, then every gradient, then every weight.

What to do:
Find where they come from (a division, a missing value, a failed join). Fill with the median of train and add a column that says so, or
drop the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, Outcome, Rule
from fallline.rules._setups import ROWS, numbers, rows
from fallline.signals import Window, columns

if TYPE_CHECKING:
    from fallline._problem import Problem


def check(window: Window) -> Outcome:
    seen = window.read(columns.ENTRY)
    for split, table in (("train", seen.train), ("valid", seen.valid)):
        if table is None or not table.gaps + table.target_gaps:
            continue
        what = "inputs" if table.gaps else "targets"
        count = table.gaps or table.target_gaps
        evidence = f"{count} of {table.rows} examples of {split} have NaN or inf among their {what}"
        remedy = "fill such values with the median of train, or drop the examples"
        return RULE.finding(evidence, remedy, place=f"{what} of {split}", figures={"examples": count, "rows": table.rows})
    return None


def changes(window: Window, finding: Finding) -> list[Change]:
    return [data.filled_and_standardised(window.setup), data.filled()]


RULE = Rule(
    code="FL503",
    name="gaps_in_data",
    title="NaN or inf in the data",
    faults=("D03",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL001", "FL116", "FL303", "FL501", "FL502", "FL506", "FL601", "FL605"),
)


def _with_gap(side: int) -> Problem:
    split = [part.clone() for part in rows(ROWS, 1)]
    split[side][7, 0] = float("nan")
    return numbers(train=tuple(split))


FIRES: Cases = {"a NaN among the inputs": lambda: _with_gap(0), "a NaN among the targets": lambda: _with_gap(1)}
SILENT: Cases = {"finite data": numbers}
