"""Fit: which task outputs and targets speak of, and whether their shapes belong together; refuses those that do not, with advice."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fallline._counted import counted
from fallline._errors import RefusedError
from fallline._problem import Problem, torch_loss
from fallline.metrics import PER_CLASS


def infer_task(outputs: Tensor, targets: Tensor) -> str:
    """The task that outputs (N, ...) and targets (N, ...) speak of; `Problem(task=...)` overrides it."""
    zero_one = bool(((targets == 0) | (targets == 1)).all())
    same = outputs.shape[1:] == targets.shape[1:] or outputs[0].numel() == targets[0].numel()
    if targets.is_floating_point() and not (same and zero_one):
        return "regression"
    if same and zero_one:
        return "multilabel" if targets.ndim == 2 and targets.shape[1] > 1 else "binary"  # a mask asks one question at every position
    if same:
        return "count" if bool((targets >= 0).all()) else "regression"
    if outputs.ndim == targets.ndim + 1 and outputs.ndim == 2:
        return "multiclass"
    if outputs.ndim == targets.ndim + 1 and outputs.shape[2:] == targets.shape[1:]:
        return "sequence"
    return "regression"


def two_logits(outputs: Tensor, targets: Tensor) -> bool:
    """Whether a question of yes or no is answered by two outputs, one a class, as cross-entropy reads them."""
    apart = outputs.ndim == targets.ndim + 1 and outputs.shape[1] == 2 and outputs.shape[2:] == targets.shape[1:]
    return apart and not targets.is_floating_point() and targets.ndim == 1


def fit(task: str, outputs: Tensor, target: Tensor, targets: Tensor, problem: Problem) -> dict[str, Any]:
    """Width and classes; refuses outputs and targets whose shapes do not fit."""
    got, wanted = tuple(outputs.shape[1:]), tuple(target.shape[1:])
    if task == "embedding":
        return _fit_embedding(outputs, target, targets)
    if task in PER_CLASS:
        if targets.is_floating_point():
            raise RefusedError(f"the targets of a {task} task are whole numbers (class indices), got {targets.dtype}; use target.long()")
        if outputs.ndim < 2 or outputs.shape[2:] != target.shape[1:]:
            example = "(N, classes, T) against (N, T)" if task == "sequence" else "(N, classes) against (N,)"
            shapes = f"{('N', *got)} against {('N', *wanted)}".replace("'", "")
            raise RefusedError(f"{task} needs outputs and targets shaped {example}, got {shapes}")
        kept = targets[targets != problem.ignore_index] if problem.ignore_index is not None else targets
        if kept.numel() and int(kept.min()) < 0:
            raise RefusedError(
                f"class indices must be zero or more, got {int(kept.min())}; set ignore_index if it marks positions to pass over"
            )
        classes = int(outputs.shape[1])
        if kept.numel() and int(kept.max()) >= classes:
            raise RefusedError(
                f"the model has {counted(classes, 'output')} but the targets hold class {int(kept.max())}; "
                f"give it {counted(int(kept.max()) + 1, 'output')}"
            )
        return {"width": 1.0, "classes": classes}
    width = outputs[0].numel() / max(target[0].numel(), 1)
    trailing_one = got != wanted and width == 1
    own_loss = problem.loss is not None and not torch_loss(problem.loss)  # torch's own says nothing of shapes that differ on purpose
    if trailing_one and not own_loss:
        fix = "target.unsqueeze(1)" if len(got) > len(wanted) else "output.squeeze(1)"
        raise RefusedError(
            f"outputs have shape {('N', *got)} and targets {('N', *wanted)}; torch would broadcast them to N x N and train wrongly. "
            f"Make them equal, for instance with {fix}".replace("'", "").replace("(N,)", "(N)")
        )
    classes = width > 1 and targets.is_floating_point() and not wanted and bool((targets == targets.round()).all())
    if classes and problem.task is None and int(targets.max()) < outputs[0].numel():
        advice = "target.long() makes them classes; if they are values, say task='regression'"
        raise RefusedError(f"the model has {counted(width, 'output')}, and all targets are whole numbers in {targets.dtype}: {advice}")
    if width > 1 and not own_loss and wanted and got[:-1] == wanted and not targets.is_floating_point():
        shape = f"{('N', *wanted)}".replace("'", "").replace("(N,)", "(N)")
        raise RefusedError(
            f"the model gives {got[-1]} outputs for each of the whole numbers in a target of shape {shape}: if they are classes, "
            "outputs are read as torch's cross_entropy reads them, (N, classes, ...); return output.movedim(-1, 1)"
        )
    if width not in (1.0, 2.0) and not own_loss:
        shapes = f"outputs have shape {('N', *got)} and targets {('N', *wanted)}".replace("'", "").replace("(N,)", "(N)")
        raise RefusedError(f"{shapes}; a {task} task needs one output per target")
    return {"width": width, "classes": 2 if task == "binary" else 0}


def _fit_embedding(outputs: Tensor, target: Tensor, targets: Tensor) -> dict[str, Any]:
    """The same for embeddings (N, D) and a class number each; classes that train does not have may be searched for."""
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise RefusedError(f"the targets of an embedding task are class numbers, got {targets.dtype}; use target.long()")
    if outputs.ndim != 2 or target.ndim != 1:
        shapes = f"{('N', *outputs.shape[1:])} against {('N', *target.shape[1:])}".replace("'", "").replace("(N,)", "(N)")
        raise RefusedError(f"embedding needs outputs and targets shaped (N, dimensions) against (N), got {shapes}")
    if int(targets.min()) < 0:
        raise RefusedError(f"class numbers must be zero or more, got {int(targets.min())}; number the classes from 0")
    return {"width": 1.0, "classes": int(targets.max()) + 1}
