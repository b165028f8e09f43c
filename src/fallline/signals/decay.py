"""Decay: how strong it is, and whether it acts on the weights by itself or goes through an adaptive rule, from a step without gradients."""

from __future__ import annotations

from dataclasses import dataclass

from fallline.signals import Signal, Unavailable, Window


@dataclass(frozen=True, kw_only=True)
class Decay:
    """Over all groups."""

    largest: float
    lr: float  # of the group with the largest decay
    step_without_gradient: float  # median absolute change of a weight, gradients being zero
    coupled_adaptive: bool  # the change has the size of the lr, whatever the weight


def measure(window: Window) -> Decay:
    import torch

    made = window.setup.make()
    if made.optimizer is None:
        raise Unavailable("there is no optimizer")
    groups = [group for group in made.optimizer.param_groups if float(group.get("weight_decay", 0.0) or 0.0) > 0]
    if not groups:
        return Decay(largest=0.0, lr=0.0, step_without_gradient=0.0, coupled_adaptive=False)
    strongest = max(groups, key=lambda group: float(group["weight_decay"]))
    lr, decay = float(strongest["lr"]), float(strongest["weight_decay"])
    tensors = [tensor for tensor in strongest["params"] if tensor.requires_grad and tensor.numel() > 1 and bool((tensor != 0).any())]
    if not tensors:
        raise Unavailable("the group with decay holds nothing trainable")
    before = [tensor.detach().clone() for tensor in tensors]
    for group in made.optimizer.param_groups:
        for tensor in group["params"]:
            tensor.grad = torch.zeros_like(tensor) if tensor.requires_grad else None
    try:
        made.optimizer.step()
    except Exception as error:  # an optimizer that wants a closure
        raise Unavailable(f"the optimizer does not step by itself: {error}") from error
    moved = torch.cat([(tensor.detach() - old).abs().reshape(-1) for tensor, old in zip(tensors, before, strict=True)])
    weights = torch.cat([old.abs().reshape(-1) for old in before])
    kept = weights > 1e-3 * float(weights.max())
    step = float(moved[kept].median())
    expected = lr * decay * float(weights[kept].median())
    return Decay(largest=decay, lr=lr, step_without_gradient=step, coupled_adaptive=step > 3 * expected and step > 0.3 * lr)


ENTRY = Signal(name="decay", title="Weight decay", cost="free", measure=measure)
