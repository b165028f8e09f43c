"""Linearity: whether what the last layer gives is an affine function of what the first layer gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fallline.signals import Signal, Unavailable, Window

ROWS = 32
STRETCH = 4.0  # inputs are taken this much farther out, where bends show


@dataclass(frozen=True, kw_only=True)
class Linearity:
    """How far the output at the middle of two inputs lies from the middle of their outputs, as a share of the outputs' spread."""

    bend: float
    layers: tuple[str, ...]  # with weights that are called, embeddings and norms left out
    sizes: tuple[tuple[int, int], ...]  # of their matrices: (out, in)


def measure(window: Window) -> Linearity:
    import torch
    from torch import nn

    from fallline._kinds import NORMS

    setup = window.setup
    model = setup.make().model
    inputs, _ = setup.sample(rows=ROWS)
    order: list[tuple[str, nn.Module]] = []
    seen: dict[str, Any] = {}
    passed_over = (nn.Embedding, nn.EmbeddingBag, *NORMS)

    def called(module: nn.Module, given: Any, output: Any, path: str) -> None:
        if (path, module) not in order:
            order.append((path, module))
            if len(order) == 1:
                seen["first"] = given[0] if given else None
        seen["last"] = output

    handles = [
        module.register_forward_hook(lambda module, given, output, path=path: called(module, given, output, path))
        for path, module in model.named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False)) and not isinstance(module, passed_over)
    ]
    setup.judged(model, inputs)
    first = seen.get("first")
    if len(order) < 2 or not isinstance(first, torch.Tensor) or not first.is_floating_point() or not isinstance(seen["last"], torch.Tensor):
        raise Unavailable("fewer than two layers with weights follow each other")
    if order[0][1] is order[-1][1] or len(first) < 4:
        raise Unavailable("the first layer is the last")
    centre = first.mean(dim=0, keepdim=True)
    a = centre + STRETCH * (first - centre)
    b = a.roll(1, 0)
    results = []
    for given in (a, b, (a + b) / 2):
        hook = order[0][1].register_forward_pre_hook(lambda _, arguments, given=given: (given, *arguments[1:]))
        setup.judged(model, inputs)
        hook.remove()
        results.append(seen["last"].double())
    for handle in handles:
        handle.remove()
    spread = max(float(torch.cat(results[:2]).std()), 1e-12)
    bend = float((results[2] - (results[0] + results[1]) / 2).abs().max()) / spread
    sizes = tuple((int(w.shape[0]), int(w[0].numel())) for _, m in order for w in list(m.parameters(recurse=False))[:1])
    return Linearity(bend=bend, layers=tuple(path for path, _ in order), sizes=sizes)


ENTRY = Signal(name="linearity", title="Linearity of the model", cost="passes", measure=measure)
