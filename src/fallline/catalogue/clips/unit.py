"""Clipping by unit (adaptive, AGC)

What it does:
Looks at each unit by itself: the weights of one output of a layer (a row of a matrix, one kernel of a convolution), or the
whole of a bias or norm. Where the unit's gradient is longer than `clipping` times its weights are, it is shortened to
that. Units with weights near zero are taken to be `smallest` long, so that they can begin to move.

When it suits:
Large learning rates and large batches without batch norm, for which it was made (NFNets): a step of SGD then never changes
a unit by more than lr * clipping of its size. The bound is relative, so one value serves small and large models alike,
where a bound on the global norm has to be found for each.

When it does not:
The last layer of a classifier, which the paper leaves out and which cannot be told here: its rows grow from near zero, and
the bound slows that. Adaptive optimizers, which divide the size of the gradient out again. One freak batch spoils all
units alike, and a global norm then keeps the direction, which this does not.

Source:
A. Brock, S. De, S. L. Smith and K. Simonyan, High-Performance Large-Scale Image Recognition Without Normalization, ICML
2021, equation 3. No function in torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline.catalogue import Clip, ClipFunction, Hyperparameter, Settings

if TYPE_CHECKING:
    import torch


def build(h: Settings) -> ClipFunction:
    from fallline.catalogue.clips._units import clip_by_unit

    clipping, smallest = float(h["clipping"]), float(h["smallest"])

    def clip(parameters: Sequence[torch.Tensor]) -> object:
        return clip_by_unit(parameters, clipping, smallest)

    return clip


ENTRY = Clip(
    name="unit",
    title="Clipping by unit (adaptive, AGC)",
    source="Brock et al. (2021), equation 3",
    space={
        "clipping": Hyperparameter(
            default=0.02,
            why="between the paper's 0.01 for batches of 4,096 and 0.08 to 0.16 for those of 256",
            low=0.01,
            high=0.2,
            log=True,
            unit="share of the weights",
            above_zero=True,
        ),
        "smallest": Hyperparameter(default=1e-3, why="the paper's", low=1e-4, high=1e-2, log=True, above_zero=True),
    },
    example={"clipping": 0.1, "smallest": 0.01},
    build=build,
    code=lambda h: f"clip_by_unit(parameters, {float(h['clipping'])!r}, {float(h['smallest'])!r})",
    carries="fallline.catalogue.clips._units",
    aliases=("agc", "adaptive_gradient_clipping"),
)
