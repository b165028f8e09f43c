"""Plain: the user's own set-up trained as their script would train it, in torch alone, without the code under test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

import fallline

EVAL_BATCH = 512


@dataclass
class Batches:
    """Tensors in batches, as a DataLoader over a TensorDataset gives them, but gathered by index."""

    data: Any
    batch_size: int
    shuffle: bool

    @property
    def rows(self) -> int:
        return len(leaf_of(self.data))

    def __len__(self) -> int:
        return max(self.rows // self.batch_size, 1)  # a ragged last batch is dropped

    def __iter__(self) -> Iterator[Any]:
        order = torch.randperm(self.rows) if self.shuffle else torch.arange(self.rows)
        for rows in list(order.split(self.batch_size))[: len(self)]:
            yield gathered(self.data, rows)


@dataclass(frozen=True)
class Trained:
    """A model after the user's own training, the parts it was trained with, and the metric after every epoch."""

    model: nn.Module
    problem: fallline.Problem
    curve: tuple[float, ...]
    value: float  # on audit where the case gives one, else on valid; of the best epoch where patience keeps it


def leaf_of(data: Any) -> Tensor:
    if isinstance(data, dict):
        return leaf_of(next(iter(data.values())))
    return data if isinstance(data, Tensor) else leaf_of(data[0])


def gathered(data: Any, rows: Tensor) -> Any:
    if isinstance(data, Tensor):
        return data[rows]
    if isinstance(data, dict):
        return {name: gathered(part, rows) for name, part in data.items()}
    return tuple(gathered(part, rows) for part in data)


def called(model: nn.Module, inputs: Any) -> Tensor:
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(inputs) if isinstance(inputs, Tensor) else model(*inputs)


def batches_of(problem: fallline.Problem) -> Any:
    """The loader that the user's epoch goes over."""
    if isinstance(problem.train, DataLoader):
        return problem.train
    return Batches(problem.train, problem.batch_size or 32, problem.shuffle)


def trained(make: Callable[[], fallline.Problem], seed: int = 0, epochs: int | None = None) -> Trained:
    """`make()` trained to its end, or for a number of epochs."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    problem = make()
    torch.manual_seed(seed)  # what `make` drew for its data is not the model's business
    model = problem.model if isinstance(problem.model, nn.Module) else problem.model()
    optimizer = problem.optimizer if isinstance(problem.optimizer, torch.optim.Optimizer) else problem.optimizer(model)
    scheduler = problem.scheduler(optimizer) if callable(problem.scheduler) else problem.scheduler
    loader = batches_of(problem)
    curve: list[float] = []
    best: dict[str, Tensor] | None = None
    best_at = 0
    sign = 1.0 if lower_is_better(problem) else -1.0
    assert problem.epochs is not None
    for epoch in range(epochs or int(problem.epochs)):
        before = getattr(scheduler, "last_epoch", 0)
        if problem.loop is not None:
            problem.loop(model, problem.loss, optimizer, scheduler, loader)
        else:
            one_epoch(problem, model, optimizer, scheduler, loader)
        curve.append(scored(problem, model, problem.valid))
        if scheduler is not None and getattr(scheduler, "last_epoch", 0) == before:
            plateau = isinstance(scheduler, ReduceLROnPlateau)
            scheduler.step(curve[-1]) if plateau else scheduler.step()
        if problem.patience is not None:
            if best is None or sign * curve[-1] < sign * curve[best_at]:
                best, best_at = {name: tensor.clone() for name, tensor in model.state_dict().items()}, epoch
            elif epoch - best_at >= problem.patience:
                break
    if best is not None:
        model.load_state_dict(best)
    judged = problem.valid if problem.audit is None else problem.audit
    return Trained(model, problem, tuple(curve), scored(problem, model, judged))


def one_epoch(problem: fallline.Problem, model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: Any, loader: Any) -> None:
    """The loop of every tutorial, with the user's parts in it."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, (inputs, target) in enumerate(loader, start=1):
        loss = problem.loss(called(model, inputs), target) / problem.accumulate
        loss.backward()
        if number % problem.accumulate:
            continue
        if callable(problem.clip):
            problem.clip(parameters)
        elif problem.clip is not None:
            nn.utils.clip_grad_norm_(parameters, problem.clip)
        optimizer.step()
        optimizer.zero_grad()
        if scheduler is not None and problem.scheduler_step == "batch":
            scheduler.step()


def predicted(model: nn.Module, data: Any) -> tuple[Tensor, Tensor]:
    """Outputs and targets of a split, in eval mode; every module's own mode is put back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    outputs, targets = [], []
    with torch.no_grad():
        for rows in torch.arange(len(leaf_of(data))).split(EVAL_BATCH):
            inputs, target = gathered(data, rows)
            outputs.append(called(model, inputs))
            targets.append(target)
    for module, mode in modes:
        module.training = mode
    return torch.cat(outputs), torch.cat(targets)


def lower_is_better(problem: fallline.Problem) -> bool:
    return (problem.direction or {"rmse": "min", "mae": "min"}.get(problem.metric, "max")) == "min"


def scored(problem: fallline.Problem, model: nn.Module, data: Any) -> float:
    """The problem's metric on a split; a model that no longer gives numbers has the worst value there is."""
    output, target = predicted(model, data)
    if not output.isfinite().all():
        return math.inf if lower_is_better(problem) else 0.0
    if not isinstance(problem.metric, str):
        return float(problem.metric(output, target))
    return float(METRICS[problem.metric](output, target, problem.ignore_index))


def accuracy(output: Tensor, target: Tensor, ignored: int | None) -> float:
    if output.ndim == target.ndim:
        probability = bool(((output >= 0) & (output <= 1)).all())
        return float(((output > (0.5 if probability else 0.0)) == (target > 0.5)).double().mean())
    kept = target != ignored if ignored is not None else torch.ones_like(target, dtype=torch.bool)
    return float((output.argmax(1) == target)[kept].double().mean())


def macro_f1(output: Tensor, target: Tensor, ignored: int | None) -> float:
    if output.ndim == target.ndim:
        pairs = [((output > 0)[:, k], (target > 0.5)[:, k]) for k in range(target.shape[1])]
    else:
        pairs = [(output.argmax(1) == k, target == k) for k in target.unique().tolist()]
    scores = [2.0 * int((said & true).sum()) / max(int(said.sum() + true.sum()), 1) for said, true in pairs]
    return float(np.mean(scores))


def rmse(output: Tensor, target: Tensor, ignored: int | None) -> float:
    return math.sqrt(float((output.reshape(target.shape) - target).double().pow(2).mean()))


def mae(output: Tensor, target: Tensor, ignored: int | None) -> float:
    return float((output.reshape(target.shape) - target).double().abs().mean())


def r2(output: Tensor, target: Tensor, ignored: int | None) -> float:
    error = float((output.reshape(target.shape) - target).double().pow(2).mean())
    return 1.0 - error / float(target.double().var(correction=0))


METRICS: dict[str, Callable[[Tensor, Tensor, int | None], float]] = {
    "accuracy": accuracy, "macro_f1": macro_f1, "rmse": rmse, "mae": mae, "r2": r2,
}  # fmt: skip
