"""Initial: outputs, loss and first-layer gradient of the untrained model, beside those of the same model at torch's own initialisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals._setup import Made, Setup

ROWS = 256
MOSTLY = 0.8


@dataclass(frozen=True, kw_only=True)
class Initial:
    """On standardised inputs, so that unscaled data are no part of it."""

    spread: float  # of an output over the examples, averaged over the outputs
    usual_spread: float
    loss: float
    usual_loss: float
    first_gradient: float  # root mean square, of the first matrix
    usual_first_gradient: float
    depth: int  # layers that know how to draw their weights
    zeros: bool  # a matrix is all zeros
    born_dead: bool  # nearly all units of a layer are zero for every example
    widest: str  # the parameter whose scale departs most from the usual


def measure(window: Window) -> Initial:
    from torch import nn

    from fallline._batches import seeded
    from fallline.signals._setup import PROBE_ROWS
    from fallline.signals.reruns import default_weights
    from fallline.signals.units import layers_of

    setup = window.setup
    made, usual = setup.make(), setup.make()
    with seeded(setup.seed):
        depth = default_weights(usual.model)
    if not depth:
        raise Unavailable("no layer knows how to draw its weights anew")
    given = dict(made.model.named_parameters())
    drawn = {name: float(p.detach().std()) for name, p in usual.model.named_parameters() if p.numel() > 1 and p.ndim > 1}
    if not drawn:
        raise Unavailable("there are no matrices")
    off = {name: abs(_log(float(given[name].detach().std()) / max(std, 1e-12))) for name, std in drawn.items() if name in given}
    inputs, target = setup.sample(rows=setup.affordable(ROWS, passes=6))
    scaled = standardised(setup, inputs)
    if any(isinstance(module, nn.modules.lazy.LazyModuleMixin) for module in made.model.modules()):
        raise Unavailable("lazy layers")
    dead = layers_of(setup, made.model, setup.affordable(PROBE_ROWS, least=64))
    one, other = _asked(setup, made, scaled, target), _asked(setup, usual, scaled, target)
    return Initial(
        spread=one[0], usual_spread=other[0], loss=one[1], usual_loss=other[1], first_gradient=one[2], usual_first_gradient=other[2],
        depth=depth,
        zeros=any(bool((p == 0).all()) for p in made.model.parameters() if p.ndim > 1),
        born_dead=any(layer.dead > MOSTLY for layer in dead), widest=max(off, key=lambda name: off[name]),
    )  # fmt: skip


def _log(ratio: float) -> float:
    import math

    return math.log(max(ratio, 1e-12))


def standardised(setup: Setup, inputs: Any) -> Any:
    """Floating-point inputs less their mean, over their spread, column by column for tables and as a whole for anything larger."""
    from fallline._batches import tree_map

    def scale(leaf: Tensor) -> Tensor:
        if not leaf.is_floating_point() or leaf.ndim < 2:
            return leaf
        dims = (0,) if leaf.ndim == 2 else tuple(dim for dim in range(leaf.ndim) if dim != 1 or leaf.ndim != 4)
        spread = leaf.std(dim=dims, keepdim=True)
        return (leaf - leaf.mean(dim=dims, keepdim=True)) / spread.where(spread > 1e-12, spread.new_ones(()))

    return tree_map(scale, inputs)


def _asked(setup: Setup, made: Made, inputs: Any, target: Tensor) -> tuple[float, float, float]:
    import torch

    from fallline._batches import seeded

    with seeded(setup.seed):
        output = setup.forward(made.model, inputs)
    try:
        loss = torch.as_tensor(made.loss(output, target)).float().mean()
        loss.backward()
    except Exception as error:  # whatever the user's loss raises
        raise Unavailable(str(setup.told("the loss", error))) from error
    first = next((p.grad for p in made.model.parameters() if p.grad is not None and p.ndim > 1), None)
    gradient = float(first.float().square().mean().sqrt()) if first is not None else 0.0
    return float(output.detach().float().std(dim=0).mean()), float(loss.detach()), gradient


ENTRY = Signal(name="initial", title="The untrained model beside torch's own initialisation", cost="passes", measure=measure)
