"""Asked: what a user said about a file, in one record for all doors; a door reads the fields that it declares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was said, None where nothing was; the meaning of each is in the `open_...` of a door that takes it."""

    target: str | None = None
    metric: Any = None
    direction: str | None = None
    task: str | None = None
    group: str | None = None
    time: str | None = None
    text: str | None = None
    horizon: int | None = None
    lookback: int | None = None
    covariates: str | None = None
    positive: Any = None
    epochs: float | None = None
    batch_size: int | None = None
    seed: int = 0

    def plain(self) -> dict[str, Any]:
        """What was given, as far as it is plain JSON; a metric that is a function is not."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in given.items() if isinstance(value, str | int | float)}
