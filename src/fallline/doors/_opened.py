"""Opened: a door's parts put together into a Problem; what every door but that for Python files ends with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fallline._problem import Origin, Problem
from fallline.doors._asked import Asked

if TYPE_CHECKING:
    from torch import nn

    from fallline.doors._rows import Division


def opened_problem(
    path: Path,
    asked: Asked,
    *,
    kind: str,
    parts: dict[str, Any],
    model: type[nn.Module],
    preparation: dict[str, Any],
    task: str,
    division: Division,
    notes: list[str],
    labels: tuple[str, ...] = (),
    metric: Any = None,
    epochs: float | None = None,
    batch_size: int | None = None,
    ignore_index: int | None = None,
    again: Callable[[Path, Asked], Problem] | None = None,
) -> Problem:
    """The problem of a door called `kind`: `parts` as its `Door.parts` makes them, and a default model of `preparation["model"]`.

    `metric`, `epochs` and `batch_size` stand where none was asked for; `again` opens the file with another seed, None where its rows are
    not drawn.
    """
    scale = preparation.get("target", {}).get("scale")
    return Problem(
        model=partial(model, **preparation["model"]["arguments"]),
        **parts,
        metric=metric if asked.metric is None else asked.metric,
        direction=asked.direction,
        task=task,
        epochs=epochs if asked.epochs is None else asked.epochs,
        batch_size=batch_size if asked.batch_size is None else asked.batch_size,
        ignore_index=ignore_index,
        origin=Origin(
            kind=kind,
            source=str(path),
            options=asked.plain(),
            preparation=preparation,
            scale=scale and tuple(scale),
            labels=labels,
            notes=tuple(notes),
            train_groups=division.groups_of("train"),
            valid_groups=division.groups_of("valid"),
            audit_groups=division.groups_of("audit"),
            reopen=None if again is None else lambda seed: again(path, replace(asked, seed=seed)),
        ),
    )
