"""Door for texts: a table with a column of texts and a class or labels for each, into a Problem with embedding and attention."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.doors import Asked, Door
from fallline.doors.table import SUFFIXES

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_text(path: Path, asked: Asked) -> Problem:
    """A table of texts as a problem: codes of tokens, fitted on train alone, and `TextNet`.

    Args:
        path: the file; a line of column names, then rows.

    Asked:
        target: the column to predict; several, separated by commas, are labels of 0 and 1. Left out, all columns of 0 and 1 are labels.
        metric, direction, epochs, batch_size: as in `Problem`.
        task: binary, multiclass, multilabel, regression or count, where the target alone would say something else.
        text: the column of texts, where the table has other columns too; they are not read. Left out, it is the only column beside the
            targets, where it holds words of which more than half differ.
        group: a column whose equal values stay in one part, in place of equal texts.
        positive: the positive class of a binary target.
        seed: draws the split.

    A column called `split` that says train, valid (or dev, val) and test is taken as the official split; test reports.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._text import opened  # loads torch and polars, which asking for doors must not

    return opened(path, asked)


def _claims(path: Path, given: Mapping[str, Any]) -> bool:
    from fallline.doors._text import claims

    return claims(path, given)


ENTRY = Door(
    name="text",
    title="a table of texts",
    suffixes=SUFFIXES,
    open=open_text,
    takes=("target", "text", "group", "positive"),
    claims=_claims,
    parts="fallline.doors._prepare_text:parts_of_texts",
)
