"""The batched program: forward, losses and gradients of many lanes of one model, traced once and then run without Python's bookkeeping."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from fallline._batches import leaves

if TYPE_CHECKING:
    from torch.fx import GraphModule

aten = torch.ops.aten


@dataclass(frozen=True)
class LossGroup:
    """The lanes that share one loss, and how it is called on (output, target)."""

    lanes: tuple[int, ...]
    loss: Callable[[Tensor, Tensor], Tensor]


class Program:
    """(weights, buffers, inputs, target) -> (loss of each lane, gradients as one row a lane).

    Weights and buffers carry a first dimension of lanes; inputs and target are shared. Buffers are changed in place, as a plain forward
    pass changes them. What it runs is the graph of `vmap` over `torch.func.functional_call` (HFTA, MLSys 2021, fuses whole models by
    rewritten layers instead), with its autograd written out, one graph for each shape of batch.
    """

    def __init__(self, model: nn.Module, weight_names: Sequence[str], buffer_names: Sequence[str], groups: Sequence[LossGroup]) -> None:
        self.model, self.groups = model, tuple(groups)
        self.weight_names, self.buffer_names = tuple(weight_names), tuple(buffer_names)
        self._traced: dict[Any, GraphModule] = {}

    def __call__(self, weights: Sequence[Tensor], buffers: Sequence[Tensor], inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        key = tuple((leaf.shape, leaf.dtype) for leaf in (*leaves(inputs), target))
        if key not in self._traced:
            self._traced[key] = self._trace(weights, buffers, inputs, target)
        with torch.no_grad():
            losses, gradients = self._traced[key](list(weights), list(buffers), inputs, target)
        return losses, gradients

    def _trace(self, weights: Sequence[Tensor], buffers: Sequence[Tensor], inputs: Any, target: Tensor) -> GraphModule:
        """The graph for one shape of batch. Buffers are put back, generators are where they were."""
        kept = [buffer.clone() for buffer in buffers]
        with torch.random.fork_rng(devices=[]):
            graph = make_fx(lambda w, b, x, y: self._joint(w, b, x, y))(list(weights), list(buffers), inputs, target)
        for buffer, old in zip(buffers, kept, strict=True):
            buffer.copy_(old)
        return _slimmed(graph)

    def _joint(self, weights: list[Tensor], buffers: list[Tensor], inputs: Any, target: Tensor) -> tuple[Tensor, Tensor]:
        count = len(weights[0])
        leaf_weights = [weight.detach().requires_grad_() for weight in weights]
        with torch.enable_grad():
            outputs = vmap(lambda w, b: self._forward(w, b, inputs), randomness="same")(leaf_weights, buffers)
            losses = self._losses(outputs, target, count)
            gradients = torch.autograd.grad(losses.sum(), leaf_weights, allow_unused=True)
        rows = [
            (torch.zeros_like(weight) if gradient is None else gradient).reshape(count, -1)
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
        return losses.detach(), torch.cat(rows, dim=1)

    def _forward(self, weights: Sequence[Tensor], buffers: Sequence[Tensor], inputs: Any) -> Any:
        named = {**dict(zip(self.weight_names, weights, strict=True)), **dict(zip(self.buffer_names, buffers, strict=True))}
        if isinstance(inputs, Mapping):
            return functional_call(self.model, named, (), dict(inputs))
        return functional_call(self.model, named, tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,))

    def _losses(self, outputs: Tensor, target: Tensor, count: int) -> Tensor:
        if len(self.groups) == 1:
            return _each(self.groups[0].loss, outputs, target)
        order = [lane for group in self.groups for lane in group.lanes]
        parts = [_each(group.loss, outputs[list(group.lanes)], target) for group in self.groups]
        back = sorted(range(count), key=lambda position: order[position])
        return torch.cat(parts)[back]


def _each(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, target: Tensor) -> Tensor:
    """The loss of every lane."""
    losses: Tensor = vmap(lambda output: loss(output, target), randomness="same")(outputs)
    return losses


def _slimmed(graph: GraphModule) -> GraphModule:
    """The same graph without nodes that change nothing: each costs a microsecond, and there are as many as those that do something."""
    for node in list(graph.graph.nodes):
        if node.op != "call_function":
            continue
        source = node.args[0] if node.args else None
        if not isinstance(source, torch.fx.Node):
            continue
        same_shape = _shape(node) is not None and _shape(node) == _shape(source)
        useless = node.target is aten.detach.default
        useless |= node.target in (aten.view.default, aten._unsafe_view.default, aten.expand.default) and same_shape
        useless |= node.target is aten.mul.Scalar and node.args[1] == 1 and same_shape
        if useless:
            node.replace_all_uses_with(source)
            graph.graph.erase_node(node)
    graph.recompile()
    return graph


def _shape(node: torch.fx.Node) -> tuple[int, ...] | None:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None
