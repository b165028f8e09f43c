"""Door for running text: a `.txt` file, into a Problem that predicts each next character with a GRU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline.doors import Door

if TYPE_CHECKING:
    from fallline._problem import Problem


def open_language(
    path: str | Path,
    *,
    metric: Any = None,
    direction: str | None = None,
    task: str | None = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    seed: int = 0,
) -> Problem:
    """A text as a problem: pieces of characters, each to be predicted from those before it in its piece.

    Args:
        path: a `.txt` file in UTF-8. The first 90 % train, the next 5 % decide and the last 5 % report.
        metric, direction, epochs, batch_size: as in `Problem`; left out, log_loss, in nats a character, and batches of 32 pieces.
        task: sequence, if anything.
        seed: of the training; the split follows the text.

    Raises:
        UsageError: the call cannot be meant. RefusedError: the data cannot be used as they are.
    """
    from fallline.doors._asked import Asked
    from fallline.doors._language import opened  # loads torch, which asking for doors must not

    asked = Asked(
        metric=metric,
        direction=direction,
        task=task,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
    )
    return opened(Path(path), asked)


ENTRY = Door(
    name="language",
    title="running text",
    suffixes=(".txt",),
    open=open_language,
    parts="fallline.doors._prepare_language:parts_of_text",
)
