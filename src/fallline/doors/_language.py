"""From a file of running text to a Problem: its characters, the length of a piece, and the parts in the order of the text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fallline._errors import RefusedError, UsageError
from fallline.doors._asked import Asked
from fallline.doors._opened import opened_problem
from fallline.doors._prepare_language import parts_of_text, running_text
from fallline.doors._rows import BLOCKS, Division
from fallline.doors._task import check_metric
from fallline.doors.models.language import CharGRU
from fallline.metrics import resolve

if TYPE_CHECKING:
    from fallline._problem import Problem

TRAIN, VALID = 0.90, 0.05  # shares of the text, as is customary for tinyshakespeare; the rest is audit
LENGTH = 64  # characters a piece: a line or two, and what a CPU unrolls in milliseconds
BATCH = 32  # pieces a step: 2,048 characters
FEWEST = 10  # pieces of valid and of audit each
MOST_SYMBOLS = 10_000  # Chinese has some thousands in use; more is no text


def opened(path: Path, asked: Asked) -> Problem:
    if asked.metric is not None:
        resolve(asked.metric, asked.direction)
    if asked.task not in (None, "sequence"):
        raise UsageError(f"running text is the task sequence (the next character at every place), got {asked.task!r}; leave task out")
    check_metric(asked.metric, "sequence")
    text = _read(path)
    cuts = [0, int(TRAIN * len(text)), int((TRAIN + VALID) * len(text)), len(text)]
    least = (cuts[2] - cuts[1] - 1) // LENGTH
    if least < FEWEST:
        wanted = round(FEWEST * (LENGTH + 1) / VALID / 1000 + 0.5) * 1000
        raise RefusedError(f"{path} has {len(text):,} characters, of which one in twenty decides; at least about {wanted:,} are needed")
    symbols = "".join(sorted(set(text[: cuts[1]])))
    if len(symbols) < 2:
        raise RefusedError(f"{path} holds one character only, {symbols!r}, so there is nothing to predict; give a text")
    if len(symbols) > MOST_SYMBOLS:
        raise RefusedError(f"{path} holds {len(symbols):,} different characters, more than any script has in use; is it text?")
    preparation: dict[str, Any] = {
        "format": 1,
        "language": {"symbols": symbols, "length": LENGTH, "cuts": cuts},
        "model": {"name": CharGRU.__name__, "arguments": {"symbols": len(symbols) + 1}},
    }
    parts = parts_of_text(path, preparation)
    unknown = sum(symbol not in set(symbols) for symbol in text[cuts[1] :])
    notes = [
        f"text: {len(text):,} characters, {len(symbols)} different in train; the model reads pieces of {LENGTH} and predicts each next one",
        f"the first {TRAIN:.0%} train, the next {VALID:.0%} decide, the last report (audit), in the order of the text",
    ]
    if unknown:
        notes.append(f"{unknown:,} characters of valid and audit do not occur in train; they count as one unknown symbol")
    return opened_problem(
        path,
        asked,
        kind="language",
        parts=parts,
        model=CharGRU,
        preparation=preparation,
        task="sequence",
        division=_blocks([len(parts[name][1]) for name in ("train", "valid", "audit")]),
        notes=notes,
        batch_size=min(BATCH, len(parts["train"][1])),
    )


def _blocks(counts: list[int]) -> Division:
    """The pieces of each part in blocks that are resampled together: neighbours in a text are alike."""
    part = np.repeat(np.arange(3, dtype=np.uint8), counts)
    groups = np.concatenate([np.arange(count) * min(BLOCKS, count) // max(count, 1) for count in counts])
    return Division(part=part, groups=groups.astype(np.int64), notes=())


def _read(path: Path) -> str:
    try:
        text = running_text(path)
    except UnicodeDecodeError as error:
        odd = error.object[error.start]
        raise RefusedError(f"{path} is not UTF-8 text (byte 0x{odd:02X}); save it as UTF-8") from error
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror or error}") from error
    if not text.strip():
        raise RefusedError(f"{path} is empty; give a text of some ten thousand characters or more")
    if "\0" in text:
        raise RefusedError(f"{path} is no text but binary data")
    return text
