"""Gradients: which tensors the user's loss reaches at the first batches, and how strongly, before anything is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import nn

BATCHES = 4  # a parameter that none of them reaches is reached by none
MANY = 256  # examples: where a step is dear, so many in one batch reach what any would


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What arrives where."""

    losses: tuple[float, ...]
    largest: dict[str, float | None]  # largest absolute gradient of each trainable parameter over the batches; None: not reached
    scale: dict[str, float]  # root mean square of it, at the first batch
    used: tuple[str, ...]  # trainable parameters whose module was called
    unregistered: tuple[tuple[int, ...], ...]  # shapes of tensors with gradients that are reached, and belong to neither model nor loss
    twins: tuple[str, ...] = field(default=())  # layers whose units have equal weights and get equal gradients

    @property
    def cut(self) -> tuple[str, ...]:
        """Parameters of modules that were called, and which the loss does not reach."""
        return tuple(name for name in self.used if self.largest[name] is None)


def measure(window: Window) -> Gradients:
    import torch

    from fallline._batches import STEP, seeded, stream

    setup = window.setup
    made = setup.make()
    model = made.model
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    known = {id(parameter) for parameter in model.parameters()}
    known |= {id(parameter) for parameter in made.loss.parameters()} if isinstance(made.loss, torch.nn.Module) else set()
    called: set[str] = set()
    handles = [
        module.register_forward_pre_hook(lambda *_, path=path: called.add(path), with_kwargs=False)
        for path, module in model.named_modules()
    ]
    largest: dict[str, float | None] = dict.fromkeys(trainable)
    scale: dict[str, float] = {}
    losses, strangers = [], {}
    size = setup.batch_size
    least = size if size >= MANY else 2 * size
    count = max(setup.affordable(BATCHES * size, passes=3, least=least) // size, 1)  # forward, and twice as much backward
    for k in range(min(count, setup.batches().per_epoch)):
        model.zero_grad(set_to_none=True)
        inputs, target = setup.batch(k)
        with seeded(stream(setup.seed, STEP, k)):
            output = setup.forward(model, inputs)
            try:
                loss = made.loss(output, target)
                if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
                    came = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, torch.Tensor) else type(loss).__name__
                    raise TypeError(f"the loss must give one number, it gave {came}")
                strangers.update({id(leaf): leaf for leaf in reached(loss) if id(leaf) not in known})
                loss.backward()
            except Exception as error:  # whatever the user's loss raises
                raise Unavailable(str(setup.told("the first training step", error))) from error
        losses.append(float(loss.detach()))
        for name, parameter in trainable.items():
            if parameter.grad is not None:
                most = float(parameter.grad.abs().max())  # what is not finite is no small number: max() would let NaN pass for 0
                largest[name] = max(largest[name] or 0.0, most if math.isfinite(most) else math.inf)
                scale.setdefault(name, float(parameter.grad.float().square().mean().sqrt()))
    for handle in handles:
        handle.remove()
    used = tuple(name for name in trainable if name.rpartition(".")[0] in called)
    shapes = tuple(tuple(leaf.shape) for leaf in strangers.values())
    return Gradients(losses=tuple(losses), largest=largest, scale=scale, used=used, unregistered=shapes, twins=tuple(_twins(model)))


def reached(loss: Any) -> list[Any]:
    """The leaf tensors that a backward pass from `loss` gives gradients to."""
    leaves, ahead, seen = [], [loss.grad_fn], set()
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        ahead += [following for following, _ in node.next_functions]
    return leaves


def _twins(model: nn.Module) -> list[str]:
    """Matrices with two or more rows whose rows are all equal, in weights and in gradients: their units can never differ."""
    found = []
    for name, parameter in model.named_parameters():
        gradient = parameter.grad
        if parameter.ndim < 2 or len(parameter) < 2 or gradient is None or not math.isfinite(float(gradient.abs().max())):
            continue
        if bool((parameter == parameter[:1]).all()) and bool(((gradient - gradient[:1]).abs() <= 1e-6 * gradient.abs().max()).all()):
            found.append(name)
    return found


ENTRY = Signal(name="gradients", title="Gradients of the first batches", cost="passes", measure=measure)
