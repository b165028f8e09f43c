"""Plain: the loss that is taken where a set-up has none, the one that torch's users take for the task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from fallline import catalogue
from fallline._fit import infer_task
from fallline.metrics import NUMBERED, PER_CLASS

PLAIN = {**dict.fromkeys(PER_CLASS, nn.CrossEntropyLoss), "binary": nn.BCEWithLogitsLoss}
PLAIN |= {"multilabel": nn.BCEWithLogitsLoss}  # other tasks with a number for each target: squared error


def plain_loss(task: str | None, output: Tensor, target: Tensor) -> Callable[[Any, Tensor], Any]:
    """The loss of a task, inferred from outputs (N, ...) and targets (N, ...) of some examples where it is not said."""
    task = task or infer_task(output, target)
    if task in NUMBERED and task not in PER_CLASS:  # torch has no loss for it
        entry = next(entry for entry in catalogue.all_losses().values() if task in entry.plain_for)
        return entry.build(entry.defaults())
    inside = bool(((output >= 0) & (output <= 1)).all())
    loss = nn.BCELoss() if inside and task in ("binary", "multilabel") else PLAIN.get(task, nn.MSELoss)()
    return loss if task in NUMBERED else lambda output, target: loss(output, target.to(output.dtype))
