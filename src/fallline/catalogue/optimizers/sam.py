"""SAM (sharpness-aware SGD)

What it does:
Goes uphill first, by rho along the gradient of all weights together, takes the gradient there, comes back, and makes a step
of SGD with momentum by it. So weights are preferred whose whole neighbourhood is good, not only they themselves. Each
step takes two forward and two backward passes, which the price counts. With l2, l2 * w joins the gradient.

When it suits:
Networks that fit train completely and generalise less well: images with ResNets and vision transformers, small and noisily
labelled data, where it gains 0.5 to 2 points of accuracy at the same number of steps.

When it does not:
At the same number of passes it has half the steps, and a race charges for that: where train is not yet fitted, plain SGD
with twice the steps is ahead. Language models passed over once. rho is a length in weight space: the right one grows
with the model (0.05 for small images, up to 0.2). Clipping cuts both gradients; the first is rescaled anyway.

Source:
P. Foret, A. Kleiner, H. Mobahi and B. Neyshabur, Sharpness-Aware Minimization for Efficiently Improving Generalization,
ICLR 2021. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallline.catalogue import Hyperparameter, Optimizer, Settings
from fallline.catalogue.optimizers import keywords, l2, lr, torch_groups

if TYPE_CHECKING:
    import torch


def build(groups: list[dict[str, Any]], h: Settings) -> torch.optim.Optimizer:
    from fallline.catalogue.optimizers._sam import SharpnessAwareSGD

    return SharpnessAwareSGD(torch_groups(groups, h["l2"]), lr=h["lr"], momentum=h["momentum"], rho=h["rho"])


ENTRY = Optimizer(
    name="sam",
    title="SAM (sharpness-aware SGD)",
    source="Foret et al. (2021)",
    space={
        "lr": lr(0.1, "the paper's for images, and that of SGD with momentum", low=1e-3, high=1.0),
        "momentum": Hyperparameter(default=0.9, why="the paper's", low=0.8, high=0.99, below=1.0),
        "rho": Hyperparameter(default=0.05, why="the paper's default, for most of its data", low=0.01, high=0.5, log=True, above_zero=True),
        "l2": l2(why="as for SGD: no decay unless asked for"),
    },
    example={"lr": 0.02, "momentum": 0.5, "rho": 0.2, "l2": 0.1},
    family="sgd",
    build=build,
    code=lambda h, fast: f"SharpnessAwareSGD(groups, {keywords(h, 'l2')})",
    state_copies=1,
    decay="l2",
    passes_per_step=2,
    closure=True,
    carries="fallline.catalogue.optimizers._sam",
    aliases=("sharpness_aware",),
)
