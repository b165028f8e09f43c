"""Named: the columns of a table that a user, or the word split, names: found, or refused with what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._errors import UsageError, nearest
from fallline.doors._rows import official_split

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SHOWN = 12  # names that a message lists: what fits into two lines


def target_names(target: str | None, columns: list[str]) -> list[str]:
    """The target as one column, or as several that commas separate."""
    if not target:
        raise UsageError(f"which column is to be predicted? Name it with --target; the table has {listed(columns)}")
    if target in columns:
        return [target]
    names = [part.strip() for part in target.split(",")] if "," in target else [target.strip()]
    for name in names:
        if name not in columns:
            raise UsageError(f"no column {name!r} to predict; {advice(name, columns)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"target {twice[0]!r} is named twice; name every target column once")
    return names


def check_column(name: str | None, flag: str, columns: list[str], targets: list[str]) -> None:
    if name is None:
        return
    if name not in columns:
        raise UsageError(f"no column {name!r} for --{flag}; {advice(name, columns)}")
    if name in targets:
        raise UsageError(f"--{flag} names the target {name!r}, which is not known for new rows; name another column")


def advice(name: str, columns: list[str]) -> str:
    close = nearest(name, columns)
    return f"did you mean {' or '.join(close)}?" if close else f"the table has {listed(columns)}"


def listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def official_column(frame: pl.DataFrame, taken: set[str | None]) -> tuple[str | None, NDArray[np.int64] | None]:
    """The column called `split`, where it says train, valid and test, and the part of each row by it."""
    for name in frame.columns:
        if name.lower() == "split" and name not in taken:
            parts = official_split(frame[name])
            return (name, parts) if parts is not None else (None, None)
    return None, None
