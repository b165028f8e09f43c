"""Demands: what some optimizers ask of a loop beyond `step()`: the loss again, its second derivatives, or other weights to judge."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch

from fallline import catalogue
from fallline._errors import UsageError
from fallline._recipe import Recipe


def needs_closure(recipe: Recipe, precision: str) -> bool:
    """Whether the recipe's optimizer evaluates the loss itself.

    Raises:
        UsageError: it does, and the precision cannot follow.
    """
    if recipe.optimizer.own:
        return False
    entry = catalogue.optimizer(recipe.optimizer.name)
    asks = entry.closure
    if entry.single and precision == "64":
        raise UsageError(f'optimizer {entry.name} does not train in double precision; take precision "32" or another optimizer')
    if asks and precision == "16":
        advice = 'precision "16" scales the loss and cannot follow; take "bf16" or "32"'
        raise UsageError(f"optimizer {recipe.optimizer.name} evaluates the loss several times a step, and {advice}")
    return asks


def graph_every(recipe: Recipe, precision: str) -> int:
    """Every how many steps the recipe's optimizer wants gradients that can be differentiated again; 0: never.

    Raises:
        UsageError: it wants them, and the precision cannot follow.
    """
    if recipe.optimizer.own:
        return 0
    entry = catalogue.optimizer(recipe.optimizer.name)
    if entry.graph_every is None:
        return 0
    if precision == "16":
        advice = 'precision "16" scales the loss and cannot follow; take "bf16" or "32"'
        raise UsageError(f"optimizer {recipe.optimizer.name} reads second derivatives, and {advice}")
    return entry.graph_every({**entry.defaults(), **recipe.optimizer.settings})


def backward_keeping_graph(loss: torch.Tensor, parameters: Sequence[torch.Tensor]) -> None:
    """`loss.backward()`, with gradients that can be differentiated again; they are added to those that are there."""
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if gradient is not None:
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def step_with_closure(optimizer: torch.optim.Optimizer, model: torch.nn.Module, gradients: Callable[[], torch.Tensor]) -> torch.Tensor:
    """One update by an optimizer that evaluates the loss itself, as often as it likes; gives the loss before it.

    `gradients` takes the same batch under the same seed each time, and clips. What a forward pass writes into buffers (running means) is
    kept from the first alone, so that a step counts once however often it looks.
    """
    losses: list[torch.Tensor] = []
    buffers: list[torch.Tensor] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = gradients()
        if not losses:
            buffers.extend(buffer.clone() for buffer in model.buffers())
        losses.append(loss.detach())
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]  # torch's own signature wants a float, its optimizers read a tensor
    for buffer, first in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(first)
    return losses[0]


@contextlib.contextmanager
def judging(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """The weights that an optimizer wants judged and handed back, in the place of those that it trains; the latter return bit for bit."""
    evaluate, train = getattr(optimizer, "eval", None), getattr(optimizer, "train", None)
    if evaluate is None or train is None:
        yield
        return
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    trained = [parameter.detach().clone() for parameter in parameters]
    evaluate()
    try:
        yield
    finally:
        train()  # it may compute them back, which a rounding error would let depend on how often it was looked
        with torch.no_grad():
            for parameter, weights in zip(parameters, trained, strict=True):
                parameter.copy_(weights)
