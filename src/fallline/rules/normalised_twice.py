"""Inputs collapsed or normalised twice

How it is detected:
The inputs as the loader gives them are compared with what the first layer with weights gets. A model that shifts or scales inputs which
were in order, away from order, is given them twice; so are inputs whose whole range is below a twentieth.

Why it matters:
Pixels divided by 255 twice lie between 0 and 0.004: the first layer sees a constant. Mean and deviation applied twice move everything by
several deviations away from what pretrained weights expect.

What to do:
Normalise in one place, in the loader or in the model, and print mean and deviation of what the first layer gets.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fallline.changes import Change, data
from fallline.rules import Cases, Finding, NotApplicable, Outcome, Rule
from fallline.rules._setups import ROWS, VALID_ROWS, network, numbers, rows
from fallline.signals import Unavailable, Window, columns, entry

if TYPE_CHECKING:
    from fallline._problem import Problem


COLLAPSED = 0.05  # of a deviation; a model that takes each case about its own level may change its scale by less


def check(window: Window) -> Outcome:
    table = window.read(columns.ENTRY).train
    if not len(table.mean):
        return NotApplicable("inputs are not floating-point numbers")
    try:
        seen = window.read(entry.ENTRY)
    except Unavailable:
        seen = None
    figures = {"std": table.whole_std, "mean": table.whole_mean}
    if seen is not None and seen.changed and not seen.learned and not (seen.relative and COLLAPSED < seen.std < 1 / COLLAPSED):
        before = max(abs(table.whole_mean), abs(_log(table.whole_std)))
        after = max(abs(seen.mean), abs(_log(seen.std)))
        in_order = abs(table.whole_mean) < 0.6 and 0.15 < table.whole_std < 2
        if in_order and after > 1.0 and after > 2 * before + 0.3:
            evidence = (
                f"the loader gives inputs with a mean of {table.whole_mean:.3g} and a deviation of {table.whole_std:.3g}; the model makes "
                f"{seen.mean:.3g} and {seen.std:.3g} of them before {seen.place or 'its first layer'}"
            )
            return RULE.finding(evidence, "normalise in one place only", place=seen.place, figures=figures | {"after": seen.std})
    normalised = seen is not None and seen.std > COLLAPSED
    if table.whole_std < COLLAPSED and bool(table.continuous.any()) and not normalised and float(table.std.max()) < COLLAPSED:
        evidence = (
            f"all inputs lie between {table.low:.4g} and {table.high:.4g}, with a deviation of {table.whole_std:.2g}: they are nearly "
            f"constant"
        )
        return RULE.finding(
            evidence,
            "look whether a scaling was applied twice; bring the deviation to about 1",
            place="inputs",
            severity="warn",
            figures=figures,
        )
    return None


def _log(value: float) -> float:
    return math.log(max(value, 1e-9))


def changes(window: Window, finding: Finding) -> list[Change]:
    if finding.place == "inputs":
        return [data.standardised_inputs(window.setup)]
    first = window.read(entry.ENTRY)
    return [data.standardised_entry(window.setup, first.place)]


RULE = Rule(
    code="FL509",
    name="normalised_twice",
    title="Inputs collapsed or normalised twice",
    faults=("D09",),
    severity="stop",
    stage="data",
    check=check,
    changes=changes,
    explains=("FL304", "FL415", "FL501", "FL605", "FL606"),
)


def _in_the_model(mean: float, std: float) -> Problem:
    from torch import Tensor, nn

    class Normalising(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.body((x - mean) / std)  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Normalising)


def _divided() -> Problem:
    splits = {"train": rows(ROWS, 1), "valid": rows(VALID_ROWS, 2)}
    return numbers(**{name: (x / 255, y) for name, (x, y) in splits.items()})


def _about_the_mean(times: float) -> Problem:
    from torch import Tensor, nn

    class Relative(nn.Module):
        """As forecasters do: each window about its own level."""

        def __init__(self) -> None:
            super().__init__()
            self.body = network()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(times * (x - x.mean(dim=1, keepdim=True)))  # type: ignore[no-any-return]  # Module.__call__ is untyped

    return numbers(model=Relative)


FIRES: Cases = {
    "standardised inputs normalised again": lambda: _in_the_model(0.5, 0.2),
    "inputs divided by 255 once too often": _divided,
    "each case about its own level, and divided by 255": lambda: _about_the_mean(1 / 255),
}
SILENT: Cases = {
    "standardised inputs": numbers,
    "a model that changes nothing": lambda: _in_the_model(0.0, 1.0),
    "each case about its own level": lambda: _about_the_mean(0.2),
}
