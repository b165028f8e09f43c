"""Door for sequences in arrays: a `.npz` with steps, lengths and targets, into a Problem with a GRU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_sequences(path: Path, asked: Asked) -> Problem:
    """Sequences with a class, a number or labels each, or with a class for every step.

    Args:
        path: a `.npz` with `x` (floats; examples, steps, channels), `y` and, where they end early, `length`; with `x_train`, `x_test` and
            so on the test arrays are official and report. A pickle is never loaded.

    Asked:
        target: another array in place of `y`.
        metric, direction, epochs, batch_size: as in `Problem`.
        task: multiclass, binary, regression, count or multilabel, where the target alone would say something else.
        group: an array whose equal values stay in one part (a person, a building).
        positive: the positive class of a binary target.
        seed: draws the split.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._sequences import opened  # loads torch, which asking for doors must not

    return opened(path, asked)


def _claims(path: Path, given: Mapping[str, Any]) -> bool:
    from fallline.doors._sequences import claims

    return claims(path)


ENTRY = Door(
    name="sequences",
    title="sequences in arrays",
    suffixes=(".npz",),
    open=open_sequences,
    takes=("target", "group", "positive"),
    claims=_claims,
    parts="fallline.doors._prepare_arrays:parts_of_arrays",
)
