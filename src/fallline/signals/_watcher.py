"""Watcher: what hooks on a model and an optimizer see of anybody's loop: modes, backward passes, gradients emptied too soon or never."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from fallline._batches import leaves

LITTLE = 2  # parameters with a hook of their own where cost matters
LOOKED_AT = 6  # parameters whose gradients are read: the smallest, which costs microseconds; biases of last layers are among them
MEASURED = frozenset((1, 2, 3, 5, 10, 20, 40, 80))  # updates at which steps are measured: ever rarer
LARGEST, MATRICES = 1_000_000, 12  # numbers of a matrix, and matrices, that are copied for it
LISTENED = 4  # tensors of one output: a loss, scores, perhaps hidden states
MODAL = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)  # layers that act differently in training and in evaluation


@dataclass
class Events:
    """Counts over the watched updates."""

    updates: int = 0
    watched: int = 0  # updates at which gradients were looked at
    backwards: int = 0  # backward passes through the model's output, in watched updates
    in_eval: int = 0  # of them, through a forward pass in eval mode
    judged_in_training: int = 0  # forward passes without gradients in training mode
    judged_in_eval: int = 0  # ... in eval mode
    first_passes: int = 0  # first backward passes after an update
    unemptied: int = 0  # of them, such that found gradients of before that update
    emptied: int = 0  # updates that found no gradient although a backward pass had given one
    pending: int = 0  # backward passes since the last update
    passes_per_update: list[int] = field(default_factory=list)
    others: set[str] = field(default_factory=set)  # other optimizers that updated this model's parameters
    others_made: int = 0  # how many objects they were
    first_bad: int | None = None  # update at which a gradient was not finite
    step_norms: dict[int, float] = field(default_factory=dict)  # update -> norm of the gradients that were looked at
    whole_norms: dict[int, float] = field(default_factory=dict)  # update -> norm of all gradients at the step; of deep watchers only
    kept: dict[int, float] = field(default_factory=dict)  # update -> norm of the looked at gradients at the step over that after backward
    moved: dict[int, float] = field(default_factory=dict)  # update -> change of a matrix over its size, the median of all matrices


class Watcher:
    """Hooks on one model and one optimizer. `due(update)` says at which updates gradients are looked at.

    `hears`: forward passes are heard by a hook on the model; otherwise whoever runs the loop tells of them by `listens` and `judges`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        due: Callable[[int], bool],
        *,
        deep: bool = True,
        hears: bool = True,
    ) -> None:
        self.model, self.optimizer, self.due, self.hears = model, optimizer, due, hears
        self.events = Events()
        self.deep = deep
        self._arrived: dict[int, Tensor] = {}  # norms of looked at gradients after the last backward pass
        self._copies: list[tuple[Tensor, Tensor]] = []  # matrices before a step
        self.modal = any(isinstance(module, MODAL) for module in model.modules())
        held = {id(tensor) for group in (optimizer.param_groups if optimizer is not None else ()) for tensor in group["params"]}
        self.ours = [tensor for tensor in model.parameters() if tensor.requires_grad and (optimizer is None or id(tensor) in held)]
        self.looked = sorted(self.ours, key=Tensor.numel)[:LOOKED_AT]
        self._mine = {id(tensor) for tensor in model.parameters()}
        self._active = due(0)
        self._given = False  # whether a backward pass has given a gradient other than zero since the last update
        self._other_ids: set[int] = set()
        self._heard = self.looked if deep else self.looked[:LITTLE]
        self._armed: list[Any] = []  # hooks that are there only while updates are looked at: a hook costs a step some microseconds
        self._handles: list[Any] = []
        if optimizer is not None:
            self._handles.append(optimizer.register_step_post_hook(self._after))
        if deep:
            self._handles.append(register_optimizer_step_post_hook(self._any_optimizer))
        if self._active:
            self._arm()

    def _arm(self) -> None:
        self._armed = [parameter.register_post_accumulate_grad_hook(self._accumulated) for parameter in self._heard]
        if self.hears:
            self._armed.append(self.model.register_forward_hook(self._forward))
        if self.optimizer is not None:
            self._armed.append(self.optimizer.register_step_pre_hook(self._before))

    def _disarm(self) -> None:
        for handle in self._armed:
            handle.remove()
        self._armed = []

    def close(self) -> None:
        self._disarm()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _forward(self, module: nn.Module, _: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            self.listens(leaves(output))
        else:
            self.judges()

    def judges(self) -> None:
        """A forward pass without gradients is made."""
        if not self._active:
            return
        if self.model.training:
            self.events.judged_in_training += 1
        else:
            self.events.judged_in_eval += 1

    def listens(self, outputs: Iterable[Tensor]) -> None:
        """These tensors came out of one forward pass; a backward pass through whichever of them it reaches first is counted."""
        if not self._active:
            return
        training = self.model.training or any(part.training for part in self.model.modules() if isinstance(part, MODAL))
        counted: list[int] = []

        def arrived(place: int) -> None:
            if not counted:
                counted.append(place)
            if counted[0] == place:
                self._backward(training)

        for place, output in enumerate([output for output in outputs if output.requires_grad][:LISTENED]):
            output.register_hook(lambda _, place=place: arrived(place))

    def _backward(self, training: bool) -> None:
        events = self.events
        events.backwards += 1
        events.in_eval += not training
        if events.pending == 0 and events.updates > 0:
            events.first_passes += 1
            events.unemptied += self._any_gradient()
        events.pending += 1

    def _accumulated(self, parameter: Tensor) -> None:
        if not self._active or parameter.grad is None:
            return
        if not self._given:
            self._given = bool((parameter.grad != 0).any())
        if self.deep:
            self._arrived[id(parameter)] = parameter.grad.norm()

    def _any_gradient(self) -> bool:
        return any(parameter.grad is not None and bool((parameter.grad != 0).any()) for parameter in self.looked)

    def _before(self, *_: Any) -> None:
        if not self._active:
            return
        events = self.events
        gradients = [parameter.grad for parameter in self.looked if parameter.grad is not None]
        if events.pending and self._given and not self._any_gradient():
            events.emptied += 1
        if gradients:
            norm = float(torch.stack([gradient.norm() for gradient in gradients]).norm())
            events.step_norms[events.updates] = norm
            if not math.isfinite(norm) and events.first_bad is None:
                events.first_bad = events.updates
            if self.deep:
                self._measure(norm)

    def _measure(self, norm: float) -> None:
        """What costs more than a look: all gradients, and at some updates how far the step moves the matrices."""
        events, update = self.events, self.events.updates
        all_of_them = [parameter.grad for parameter in self.ours if parameter.grad is not None]
        events.whole_norms[update] = float(torch.stack([gradient.norm() for gradient in all_of_them]).norm())
        if self._arrived:
            arrived = float(torch.stack(list(self._arrived.values())).norm())
            if arrived > 0:
                events.kept[update] = norm / arrived
        if update in MEASURED:
            matrices = [parameter for parameter in self.ours if parameter.ndim > 1 and parameter.numel() <= LARGEST][:MATRICES]
            self._copies = [(matrix, matrix.detach().clone()) for matrix in matrices]

    def _compare(self) -> None:
        ratios = [float((now.detach() - old).norm() / old.norm().clamp_min(1e-12)) for now, old in self._copies if bool((old != 0).any())]
        if ratios:
            self.events.moved[self.events.updates] = sorted(ratios)[len(ratios) // 2]
        self._copies = []

    def _after(self, *_: Any) -> None:
        events = self.events
        if self._copies:
            self._compare()
        self._arrived.clear()
        if self._active:
            events.watched += 1
            events.passes_per_update.append(events.pending)
        events.updates += 1
        events.pending, self._given = 0, False
        due = self.due(events.updates)
        if due != self._active:
            self._active = due
            (self._arm if due else self._disarm)()

    def _any_optimizer(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if optimizer is self.optimizer or id(optimizer) in self._other_ids:
            return
        if any(id(parameter) in self._mine for group in optimizer.param_groups for parameter in group["params"]):
            self._other_ids.add(id(optimizer))
            self._keep = optimizer  # its id must not be given to the next one
            self.events.others.add(type(optimizer).__name__)
            self.events.others_made += 1
