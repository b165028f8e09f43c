"""Linearity: whether what the last layer gives is an affine function of what the first layer gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor, nn

    from fallline.signals._setup import Setup

ROWS = 32
BENT = 1e-3  # far above what rounding bends: whether layers follow each other is asked only of what may be straight
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

    from fallline._batches import tree_map
    from fallline._kinds import NORMS

    setup = window.setup
    model = setup.make().model
    _without_zeros(model, setup.seed)
    rows = setup.affordable(ROWS)
    inputs, _ = setup.sample(rows=rows)
    order: list[tuple[str, nn.Module]] = []
    last: list[Any] = []
    embeddings = (nn.Embedding, nn.EmbeddingBag)

    def called(module: nn.Module, _: Any, output: Any, path: str) -> None:
        if (path, module) not in order:
            order.append((path, module))
        last.append(output)

    handles = [
        module.register_forward_hook(lambda module, given, output, path=path: called(module, given, output, path))
        for path, module in model.named_modules()
        if any(parameter.ndim > 1 for parameter in module.parameters(recurse=False)) and not isinstance(module, (*embeddings, *NORMS))
    ]
    setup.judged(model, inputs)
    if len(order) < 2 or not isinstance(last[-1], torch.Tensor):
        raise Unavailable("fewer than two layers with weights follow each other")
    floating = setup.floats(inputs)
    words = [module for module in model.modules() if isinstance(module, embeddings)]
    if not floating and len(words) != 1:
        raise Unavailable("there is no one place where inputs become numbers")

    def stretched(value: Tensor) -> Tensor:
        return value.mean(dim=0, keepdim=True) + STRETCH * (value - value.mean(dim=0, keepdim=True))

    def at(way: Callable[[Tensor], Tensor]) -> Tensor:
        """The last layer's output where inputs, or embedded words, are what `way` makes of them."""
        if floating:
            setup.judged(model, tree_map(lambda leaf: way(stretched(leaf)) if leaf.is_floating_point() else leaf, inputs))
        else:
            hook = words[0].register_forward_hook(lambda _, __, output: way(stretched(output)))
            setup.judged(model, inputs)
            hook.remove()
        return last[-1].double()  # type: ignore[no-any-return]  # a tensor, as was seen

    results = [at(lambda a: a), at(lambda a: a.roll(1, 0)), at(lambda a: (a + a.roll(1, 0)) / 2)]
    for handle in handles:
        handle.remove()
    if any(result.shape != results[0].shape or len(result) != rows for result in results):
        raise Unavailable("the last layer does not give one row a case")
    if float(results[0].std(dim=0).max()) < 1e-6 * (1e-6 + float(results[0].abs().max())):
        raise Unavailable("the output does not vary")
    spread = max(float(torch.cat(results[:2]).std()), 1e-12)
    bend = float((results[2] - (results[0] + results[1]) / 2).abs().max()) / spread
    if bend < BENT and not _in_a_row(setup, model, order, inputs):
        raise Unavailable("its layers with weights stand side by side, none behind another")
    sizes = tuple((int(w.shape[0]), int(w[0].numel())) for _, m in order for w in list(m.parameters(recurse=False))[:1])
    return Linearity(bend=bend, layers=tuple(path for path, _ in order), sizes=sizes)


def _in_a_row(setup: Setup, model: nn.Module, order: Sequence[tuple[str, nn.Module]], inputs: Any) -> bool:
    """Whether any of the layers gets something else once another, or itself at an earlier call, gives something else."""
    import torch

    from fallline._batches import leaves

    def given() -> list[Tensor]:
        """What the layers get, call by call."""
        got: list[Tensor] = []
        handles = [
            module.register_forward_pre_hook(
                lambda _, values, named: got.extend(leaf.clone() for leaf in leaves((values, named))), with_kwargs=True
            )
            for _, module in order
        ]
        setup.judged(model, inputs)
        for handle in handles:
            handle.remove()
        return got

    plain = given()
    for _, module in order:
        moved = module.register_forward_hook(lambda _, __, output: 2 * output + 1 if isinstance(output, torch.Tensor) else output)
        other = given()
        moved.remove()
        if len(other) != len(plain) or any(not torch.equal(mine, theirs) for mine, theirs in zip(plain, other, strict=True)):
            return True
    return False


def _without_zeros(model: nn.Module, seed: int) -> None:
    """Draw matrices that start at zero: a branch that gives nothing yet bends nothing yet."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not bool((parameter != 0).any()):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / max(parameter[0].numel(), 1) ** 0.5)


ENTRY = Signal(name="linearity", title="Linearity of the model", cost="passes", measure=measure)
