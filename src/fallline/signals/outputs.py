"""Outputs: what the untrained model gives for some training examples, in eval mode, and whether it gives the same again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fallline.signals import Signal, Window

if TYPE_CHECKING:
    from torch import Tensor

REPEATED = 32  # of them, that are passed twice
ROWS = 256  # enough to see the kind of outputs, small enough for any model's first forward pass


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Inputs, target and output of the same examples."""

    inputs: Any
    target: Tensor
    output: Tensor
    embeds: bool  # outputs are embeddings: their second axis holds no classes
    difference: float  # largest change of the output when the same pass is made again, as a share of the output's spread

    @property
    def classes(self) -> bool:
        """Whether targets are class indices for an output with a class axis."""
        whole = not self.target.is_floating_point() and not self.target.is_complex()
        return not self.embeds and whole and self.output.ndim == self.target.ndim + 1 and self.output.shape[2:] == self.target.shape[1:]

    @property
    def same_shape(self) -> bool:
        return self.output.shape == self.target.shape

    @property
    def probabilities(self) -> bool:
        """Whether outputs lie in [0, 1] and sum to 1 over the class axis."""
        values = self.output.double()
        if values.ndim < 2 or values.shape[1] < 2 or not bool(((values >= -1e-6) & (values <= 1 + 1e-6)).all()):
            return False
        return bool(((values.sum(dim=1) - 1).abs() < 1e-4).all())

    @property
    def log_probabilities(self) -> bool:
        values = self.output.double()
        return values.ndim > 1 and values.shape[1] > 1 and bool((values.logsumexp(dim=1).abs() < 1e-4).all())


def measure(window: Window) -> Outputs:
    from fallline._batches import tree_map

    setup = window.setup
    made = setup.make()
    inputs, target = setup.sample(rows=setup.affordable(ROWS, least=64))
    output = setup.judged(made.model, inputs).float()
    few = tree_map(lambda leaf: leaf[:REPEATED] if leaf.ndim else leaf, inputs)
    one, other = (setup.judged(made.model, few, draw=draw).float() for draw in (0, 1))
    spread = float(output.std()) if output.numel() > 1 else 0.0
    difference = float((one - other).abs().max()) / max(spread, 1e-12) if one.numel() and one.shape == other.shape else 0.0
    return Outputs(inputs=inputs, target=target, output=output, embeds=setup.problem.task == "embedding", difference=difference)


ENTRY = Signal(name="outputs", title="Outputs of the untrained model", cost="passes", measure=measure)
