"""Door for running text: a `.txt` file, into a Problem that predicts each next character with a GRU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fallline.doors import Asked, Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_language(path: Path, asked: Asked) -> Problem:
    """A text as a problem: pieces of characters, each to be predicted from those before it in its piece.

    Args:
        path: a `.txt` file in UTF-8. The first 90 % train, the next 5 % decide and the last 5 % report.

    Asked:
        metric, direction, epochs, batch_size: as in `Problem`; left out, log_loss, in nats a character, and batches of 32 pieces.
        task: sequence, if anything.
        seed: of the training; the split follows the text.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._language import opened  # loads torch, which asking for doors must not

    return opened(path, asked)


ENTRY = Door(
    name="language",
    title="running text",
    suffixes=(".txt",),
    open=open_language,
    parts="fallline.doors._prepare_language:parts_of_text",
)
