"""Rehearsal: the user's own loss, optimizer, scheduler, clip and metric tried on one batch: their faults are said before the race."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from fallline._batches import STEP, reseeder, stream
from fallline._bench import Workbench, autocast, materialise
from fallline._errors import FalllineError, RefusedError, UsageError
from fallline._judge import link_of, predict
from fallline._parts import build_clip, build_loss, build_optimizer, build_scheduler
from fallline._prior import baseline
from fallline._problem import call
from fallline._profile import Profile
from fallline._recipe import Frame, Recipe
from fallline.metrics import OwnMetric

JUDGED_ROWS = 64  # of valid: enough for a metric to be called as it will be, little enough for any model
FRAME = Frame(steps=1, seed=0, evaluations=1, look_rows=0)

T = TypeVar("T")


def rehearse(bench: Workbench, profile: Profile) -> None:
    """One step of the user's own set-up on a model that is thrown away.

    Whether it diverges is for the race to find out: here only what raises, or gives what nothing can be done with, is refused. A `loop`
    is not run, it would take an epoch.

    Raises:
        RefusedError, UsageError: which part fails, on what, and how.
    """
    problem = bench.problem
    if not problem.own_parts() and not isinstance(bench.judge.metric, OwnMetric):
        return
    recipe = baseline(problem, profile, FRAME)
    model = problem.new_model(FRAME.seed).to(bench.device)
    materialise(model, bench, FRAME.seed)
    _try_metric(bench, model, recipe)
    loss = build_loss(recipe, problem, next(model.parameters(), None)) if problem.loss is not None else None
    optimizer = _tried("optimizer(model)", lambda: build_optimizer(recipe, model, problem, loss))
    if problem.scheduler is not None:
        scheduler = _tried("scheduler(optimizer)", lambda: build_scheduler(recipe, optimizer, problem))
        if isinstance(scheduler, ReduceLROnPlateau) and problem.scheduler_step == "batch":
            raise UsageError('ReduceLROnPlateau reads the metric, which is measured once an epoch; leave scheduler_step="batch" out')
        if not hasattr(scheduler, "step"):
            raise UsageError(f"scheduler(optimizer) must return a torch scheduler, got {type(scheduler).__name__}")
    if problem.loop is None:
        _try_step(bench, model, loss, optimizer, build_clip(recipe, problem))


def _try_step(bench: Workbench, model: nn.Module, own: Any, optimizer: torch.optim.Optimizer, clip: Callable[..., object] | None) -> None:
    problem = bench.problem
    inputs, target = bench.data.batches(FRAME.seed, bench.device)(0)
    reseeder(bench.device)(stream(FRAME.seed, STEP, 0))
    with autocast(problem.precision, bench.device):
        output = call(model, inputs)
        loss = output.float().pow(2).mean() if own is None else _try_loss(own, output, target)
    _tried("backward through the loss", loss.backward)
    if clip is not None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        _tried("clip(parameters)", lambda: clip(parameters))
    try:
        optimizer.step()
    except Exception as error:  # whatever the user's optimizer raises
        hint = "; an optimizer that needs a closure can be stepped in a loop of your own" if "closure" in str(error) else ""
        raise RefusedError(f"{type(optimizer).__name__}.step() raised {type(error).__name__}: {error}{hint}") from error


def _try_loss(function: Callable[[Tensor, Tensor], Any], output: Tensor, target: Tensor) -> Tensor:
    shapes = f"an output of shape {tuple(output.shape)} ({_kind(output)}) and a target of shape {tuple(target.shape)} ({_kind(target)})"
    loss = _tried(f"the loss, given {shapes},", lambda: function(output, target))
    if not isinstance(loss, Tensor):
        raise RefusedError(f"the loss must return a tensor to go backward through, got {type(loss).__name__}")
    if loss.numel() != 1:
        raise RefusedError(
            f"the loss must return one number, got a tensor of shape {tuple(loss.shape)}; end with .mean(), or reduction='mean'"
        )
    if not loss.requires_grad:
        raise RefusedError(
            "the loss does not depend on the output in a way to go backward through; is there a detach, an item() or a round?"
        )
    return loss


def _try_metric(bench: Workbench, model: nn.Module, recipe: Recipe) -> None:
    """Call a metric of the user's own once; what an untrained model scores is of no interest."""
    if not isinstance(bench.judge.metric, OwnMetric):
        return
    rows = torch.arange(min(JUDGED_ROWS, bench.data.valid.size))
    outputs, targets = predict(model, bench.data.sweep("valid", bench.device, rows))
    shapes = f"outputs of shape {tuple(outputs.shape)} and targets of shape {tuple(targets.shape)}"
    link = link_of(recipe, bench.problem)
    _tried(f"the metric {bench.judge.metric.name}, given {shapes},", lambda: bench.judge.value(outputs, targets, link))


def _tried(what: str, attempt: Callable[[], T]) -> T:
    try:
        return attempt()
    except FalllineError:
        raise
    except Exception as error:  # whatever the user's own part raises
        raise RefusedError(f"{what} raised {type(error).__name__}: {error}") from error


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
