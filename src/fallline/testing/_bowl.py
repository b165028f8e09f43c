"""The bowl on which optimizers are tried: parameters of every shape, a quadratic of them, and steps down it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline._demands import backward_keeping_graph
from fallline.catalogue import Optimizer

if TYPE_CHECKING:
    import torch

STEPS = 12  # past the first five, in which RAdam takes unscaled steps
SHAPES = {"matrix": ((4, 3), (3, 5), (2, 3, 2, 2)), "other": ((4,), (6, 2))}  # matrices and a kernel; a bias and an embedding


def start(seed: int) -> list[dict[str, Any]]:
    """Fresh parameters in the groups that a recipe makes: decayed matrices, and the rest."""
    import torch

    generator = torch.Generator().manual_seed(seed)

    def parameters(kind: str) -> list[torch.nn.Parameter]:
        return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in SHAPES[kind]]

    return [{"params": parameters(kind), "decay": kind == "matrix", "kind": kind} for kind in SHAPES]


def parameters_of(groups: list[dict[str, Any]]) -> list[torch.nn.Parameter]:
    return [parameter for group in groups for parameter in group["params"]]


def bowl(parameters: list[torch.nn.Parameter]) -> torch.Tensor:
    """A quadratic with its minimum at 3 and -3 in turn, so that rows have no common direction, and curvatures from 0.5 to 2."""
    import torch

    def part(p: torch.Tensor) -> torch.Tensor:
        minimum = 3.0 - 6.0 * (torch.arange(p.numel()) % 2).view_as(p)
        return (torch.linspace(0.5, 2.0, p.numel()).view_as(p) * (p - minimum) ** 2).sum()

    return torch.stack([part(parameter) for parameter in parameters]).sum()


def descend(entry: Optimizer, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], steps: int, first: int = 0) -> None:
    """Steps on the bowl, tilted in a direction that depends on the number of the step alone, enough to turn some gradients round.

    As in a training, what a step draws follows from its number.
    """
    import torch

    for step in range(first, first + steps):
        torch.default_generator.manual_seed(step)
        generator = torch.Generator().manual_seed(step)
        tilts = [2.0 * torch.randn(parameter.shape, generator=generator) for parameter in parameters]

        def closure(tilts: list[torch.Tensor] = tilts) -> torch.Tensor:
            optimizer.zero_grad()
            loss = bowl(parameters) + sum((tilt * parameter).sum() for tilt, parameter in zip(tilts, parameters, strict=True))
            if entry.graph_every is None:
                loss.backward()
            else:
                backward_keeping_graph(loss, parameters)
            return loss

        if entry.closure:
            optimizer.step(closure)  # type: ignore[arg-type]  # torch's own signature wants a float
        else:
            closure()
            optimizer.step()


def step_without_gradient(entry: Optimizer, optimizer: torch.optim.Optimizer) -> None:
    """One step on whatever gradients there are; a closure finds nothing new."""
    import torch

    if entry.closure:
        optimizer.step(lambda: torch.zeros(()))  # type: ignore[arg-type,return-value]  # torch's own signature wants a float
    else:
        optimizer.step()


def flat(entry: Optimizer, parameter: torch.nn.Parameter) -> torch.Tensor:
    """A gradient of zeros, such as can be differentiated again where the optimizer wants that."""
    gradient = parameter * 0.0
    return gradient if entry.graph_every is not None else gradient.detach()
