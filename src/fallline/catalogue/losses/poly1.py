"""Poly-1 cross-entropy

What it does:
Cross-entropy plus epsilon times the error: -log p + epsilon * (1 - p), p being the probability of the right class. The
logarithm is the series (1 - p) + (1 - p)^2 / 2 + ..., and epsilon changes its first coefficient from 1 to 1 + epsilon.
Positive values add gradient where p is around one half, and least where the answer is already right or hopeless;
negative ones (to -1) take the first term away and come near focal loss at gamma 1.

When it suits:
Balanced image and text classification where cross-entropy works and one more number may be tuned: the paper found
0.3 to 1 points of accuracy with epsilon 1 to 2 on ImageNet. One number, no cost, and the same minimiser in the limit
of certain labels.

When it does not:
Log loss and calibrated probabilities: with epsilon above 0 the confidence comes out too high, since being sure is paid
twice. Rare classes: the added term counts every example alike, and small classes are no better off. Gains are of the
size of the noise between two seeds, so believe them only with an interval.

Source:
Z. Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions, ICLR 2022. No class in
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def poly1_loss(epsilon: float, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        entropy = torch.nn.functional.cross_entropy(output, target, reduction="none", ignore_index=ignore_index)
        error = -torch.expm1(-entropy)  # 1 - p; where a place is ignored both are zero
        return (entropy + epsilon * error).sum() / (target != ignore_index).sum()

    return loss


def suits(profile: Profile) -> float:
    # reported gains are small, so it waits behind losses that answer to something in the profile
    return 0.1


ENTRY = Loss(
    name="poly1",
    title="Poly-1 cross-entropy",
    source="Leng et al. (2022), PolyLoss",
    space={
        "epsilon": Hyperparameter(
            default=1.0, why="between the paper's best values for image classifiers, 1 and 2", low=-1.0, high=4.0, negative=True
        ),
        "ignore_index": IGNORE,
    },
    example={"epsilon": -0.5, "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: poly1_loss(epsilon=h["epsilon"], ignore_index=int(h["ignore_index"])),
    code=lambda h: f"poly1_loss(epsilon={h['epsilon']!r}, ignore_index={int(h['ignore_index'])})",
    suits=suits,
    aliases=("polyloss", "poly_1"),
)
