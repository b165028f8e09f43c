"""Small set-ups that are right, from which the cases of the rules depart by the one thing that they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fallline._problem import Problem

ROWS, VALID_ROWS, COLUMNS, CLASSES = 480, 240, 6, 3


def network(outputs: int = 1, columns: int = COLUMNS, width: int = 24) -> nn.Module:
    """Two hidden layers of rectified units."""
    from torch import nn

    return nn.Sequential(nn.Linear(columns, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, outputs))


def rows(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs, and a number that depends on them: bent in one, straight in two, with a little noise."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, COLUMNS, generator=generator)
    y = x[:, :1] ** 2 - x[:, 1:2] + 0.5 * x[:, 2:3] - 1.0
    return x, (y + 0.1 * torch.randn(count, 1, generator=generator)) / y.std()


def labelled(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs, and in which third of all the number lies."""
    x, y = rows(count, seed)
    return x, (y[:, 0] > -0.4).long() + (y[:, 0] > 0.4).long()


def numbers(**changes: Any) -> Problem:
    """A regression that is trained as it should be."""
    import torch
    from torch import nn

    from fallline._problem import Problem

    right = {
        "model": network, "train": rows(ROWS, 1), "valid": rows(VALID_ROWS, 2), "metric": "rmse", "task": "regression", "epochs": 15,
        "batch_size": 32, "loss": nn.MSELoss(), "optimizer": lambda model: torch.optim.Adam(model.parameters(), lr=3e-3),
    }  # fmt: skip
    return Problem(**{**right, **changes})


def classes(**changes: Any) -> Problem:
    """A classification that is trained as it should be."""
    import torch
    from torch import nn

    from fallline._problem import Problem

    right = {
        "model": lambda: network(CLASSES), "train": labelled(ROWS, 1), "valid": labelled(VALID_ROWS, 2), "metric": "accuracy",
        "epochs": 15, "batch_size": 32, "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda model: torch.optim.Adam(model.parameters(), lr=3e-3),
    }  # fmt: skip
    return Problem(**{**right, **changes})


def yes_no(**changes: Any) -> Problem:
    """A question with two answers, one logit, trained as it should be."""
    from torch import nn

    splits = {name: (x, (y > 0).float()) for name, (x, y) in (("train", rows(ROWS, 1)), ("valid", rows(VALID_ROWS, 2)))}
    return classes(**{"model": network, "loss": nn.BCEWithLogitsLoss(), **splits, **changes})


def with_head(head: nn.Module, outputs: int = CLASSES) -> nn.Module:
    """The network with something behind its last layer."""
    from torch import nn

    return nn.Sequential(*network(outputs), head)  # type: ignore[misc]  # a Sequential is iterated over its modules


def looped(change: str = "", make: Callable[..., Problem] = numbers, **changes: Any) -> Problem:
    """A regression in a loop of the user's own that is right, or wrong in the one way that `change` names."""
    import torch

    def loop(model: Any, loss: Any, optimizer: Any, scheduler: Any, loader: Any) -> None:
        if change == "rebuilt":
            optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        if change != "eval left on":
            model.train(change != "eval")
        passes = 4 if change in ("summed", "averaged") else 1
        for place, (inputs, target) in enumerate(loader, start=1):
            if change not in ("never emptied", "emptied late") and (place - 1) % passes == 0:
                optimizer.zero_grad()
            value = loss(model(inputs), target)
            (-value if change == "negative" else value / passes if change == "averaged" else value).backward()
            if change == "emptied late":
                optimizer.zero_grad()
            if change != "no step" and place % passes == 0:
                optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if change in ("judged in training", "judged", "eval left on"):
            model.train(change == "judged in training")
            with torch.no_grad():
                model(inputs)

    return make(loop=loop, **changes)


def dropping(outputs: int = 1) -> nn.Module:
    """The network with a dropout, which acts differently in training and in evaluation."""
    from torch import nn

    made = network(outputs)
    return nn.Sequential(made[0], nn.ReLU(), nn.Dropout(0.2), *list(made)[2:])  # type: ignore[index, call-overload]  # a Sequential
