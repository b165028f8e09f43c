"""Parameters: which tensors the model has, which of them the optimizer holds, and what it holds besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """The sets of tensors, by name where they have one."""

    sizes: dict[str, int]  # elements of each parameter of the model
    trainable: tuple[str, ...]
    held: tuple[str, ...]  # the model's parameters that the optimizer holds
    strangers: tuple[int, ...]  # sizes of tensors that the optimizer holds and neither model nor loss has
    of_loss: tuple[str, ...]  # trainable parameters of the loss
    of_loss_held: tuple[str, ...]
    groups: tuple[dict[str, Any], ...]  # options of the optimizer's groups, with the names of their parameters under "names"

    @property
    def missing(self) -> tuple[str, ...]:
        """Trainable parameters that the optimizer does not hold."""
        return tuple(name for name in self.trainable if name not in set(self.held))

    def count(self, names: tuple[str, ...]) -> int:
        return sum(self.sizes[name] for name in names)


def parameters_of(model: nn.Module, optimizer: Any, loss: Any = None) -> Parameters:
    """The sets, read off the objects."""
    named = dict(model.named_parameters())
    names: dict[int, str] = {id(tensor): name for name, tensor in named.items()}
    of_loss: dict[int, str] = {}
    if hasattr(loss, "named_parameters"):
        of_loss = {id(tensor): name for name, tensor in loss.named_parameters() if tensor.requires_grad}
    groups, held = [], list[Any]()
    for group in optimizer.param_groups:
        held += group["params"]
        options = {key: value for key, value in group.items() if key != "params"}
        groups.append({**options, "names": [names.get(id(tensor), "") for tensor in group["params"]]})
    ids = {id(tensor) for tensor in held}
    return Parameters(
        sizes={name: tensor.numel() for name, tensor in named.items()},
        trainable=tuple(name for name, tensor in named.items() if tensor.requires_grad),
        held=tuple(name for name, tensor in named.items() if id(tensor) in ids),
        strangers=tuple(_size(tensor) for tensor in held if id(tensor) not in names and id(tensor) not in of_loss),
        of_loss=tuple(of_loss.values()),
        of_loss_held=tuple(name for key, name in of_loss.items() if key in ids),
        groups=tuple(groups),
    )


def _size(tensor: Tensor) -> int:
    return int(tensor.numel())


def measure(window: Window) -> Parameters:
    made = window.setup.make()
    if made.optimizer is None:
        raise Unavailable("there is no optimizer")
    return parameters_of(made.model, made.optimizer, made.loss)


ENTRY = Signal(name="parameters", title="Parameters of model and optimizer", cost="free", measure=measure)
