"""The user's parts as functions that can be wrapped: model, optimizer, scheduler and loss, in whichever form they were given."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from fallline._batches import INIT, seeded, stream
from fallline._model import Given
from fallline._parts import build_optimizer, copied_scheduler
from fallline._problem import Problem
from fallline._recipe import OWN, Part, Recipe
from fallline._weights import fill

_OWN_PARTS = Recipe(loss=Part(OWN), optimizer=Part(OWN), schedule=Part(OWN), clip=Part(OWN))


def model_of(problem: Problem) -> nn.Module:
    """A fresh model under the generator as it stands, so that a seed gives the weights that it gives the unchanged problem."""
    given = Given.of(problem.model)
    with seeded(stream(0, INIT)):  # what a module draws while it is imported is the same in every process
        made = given.found()
    model = copy.deepcopy(made if isinstance(made, nn.Module) else made(**given.keywords))
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model's function returned {type(model).__name__}, no module")
    if given.weights is not None:
        fill(model, given.weights)
    return model


def optimizer_of(problem: Problem) -> Callable[[nn.Module], torch.optim.Optimizer]:
    """model -> the user's optimizer for it; AdamW where there is none, as in the baseline."""
    if problem.optimizer is None:
        return lambda model: torch.optim.AdamW(model.parameters())
    return lambda model: build_optimizer(_OWN_PARTS, model, problem)


def scheduler_of(problem: Problem) -> Callable[[torch.optim.Optimizer], Any] | None:
    """optimizer -> the user's scheduler on it; None where there is none."""
    own, theirs = problem.scheduler, problem.optimizer
    if own is None or not hasattr(own, "optimizer"):
        made: Callable[[torch.optim.Optimizer], Any] | None = own
        return made
    return lambda optimizer: copied_scheduler(own, theirs, optimizer)


def with_model(problem: Problem, edit: Callable[[nn.Module], object]) -> Problem:
    """The problem whose models are edited in place as soon as they are made; names of parameters must stay."""

    def made() -> nn.Module:
        model = model_of(problem)
        edit(model)
        return model

    own = problem.optimizer if problem.optimizer is None else optimizer_of(problem)
    return replace(problem, model=made, optimizer=own, scheduler=scheduler_of(problem))


def with_optimizer(problem: Problem, edit: Callable[[torch.optim.Optimizer, nn.Module], torch.optim.Optimizer | None]) -> Problem:
    """The problem whose optimizers are edited as soon as they are made, or exchanged for what `edit` returns; schedules come after."""
    own = optimizer_of(problem)

    def made(model: nn.Module) -> torch.optim.Optimizer:
        optimizer = own(model)
        return edit(optimizer, model) or optimizer

    return replace(problem, optimizer=made, scheduler=scheduler_of(problem))


def with_scheduler(problem: Problem, edit: Callable[[Any, torch.optim.Optimizer], object]) -> Problem:
    """The problem whose schedulers are edited as soon as they are made, or exchanged for what `edit` returns."""
    own = scheduler_of(problem)

    def made(optimizer: torch.optim.Optimizer) -> Any:
        scheduler = None if own is None else own(optimizer)
        return edit(scheduler, optimizer) or scheduler

    optimizer = optimizer_of(problem) if problem.optimizer is None or not callable(problem.optimizer) else problem.optimizer
    return replace(problem, optimizer=optimizer, scheduler=made)


def with_loss(problem: Problem, make: Callable[[Callable[[Tensor, Tensor], Any]], Callable[[Tensor, Tensor], Any]]) -> Problem:
    """The problem with another loss, made from the user's; squared error stands where there is none."""
    own = problem.loss
    return replace(problem, loss=make(nn.MSELoss() if own is None else copy.deepcopy(own) if isinstance(own, nn.Module) else own))
