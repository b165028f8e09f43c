"""Symmetric cross-entropy

What it does:
alpha times cross-entropy plus beta times its reverse, in which prediction and label change places; the logarithm of a
label's zero is taken as -4. For one right class that is alpha * -log p + beta * 4 * (1 - p): the first part learns, the
second, which is bounded, does not let a wrong label pull without end.

When it suits:
Labels of which a fifth or more are wrong, and where generalized cross-entropy learns the hard classes too slowly: alpha
keeps some of cross-entropy's force at every p. The metric is accuracy on clean data.

When it does not:
Clean labels, where it is Poly-1 with a large epsilon (4 * beta / alpha, 40 at the defaults) and overconfident for the
same reason. Many classes: the paper raises alpha to 6 for a hundred classes, since the bounded part alone learns too
slowly. Log loss. The scale differs from that of cross-entropy, and lr with it: at the start the gradient is about
alpha + 4 * beta / C times as large.

Source:
Y. Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, ICCV 2019. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def symmetric_ce(alpha: float, beta: float, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        entropy = torch.nn.functional.cross_entropy(output, target, reduction="none", ignore_index=ignore_index)
        reverse = -4.0 * torch.expm1(-entropy)  # -log 0 is taken as 4, so it is 4 (1 - p); zero where a place is ignored
        return (alpha * entropy + beta * reverse).sum() / (target != ignore_index).sum()

    return loss


def suits(profile: Profile) -> float:
    # as generalized_ce, which needs one number less and goes first
    return 0.0 if profile.label_noise is None else 0.8 * min(1.0, max(0.0, (profile.label_noise - 0.1) / 0.3))


ENTRY = Loss(
    name="symmetric_ce",
    kin="generalized_ce",
    title="Symmetric cross-entropy",
    source="Wang et al. (2019)",
    space={
        "alpha": Hyperparameter(default=0.1, why="the paper's for ten classes", low=0.01, high=6.0, log=True),
        "beta": Hyperparameter(default=1.0, why="the paper's for ten classes; it found alpha to matter more", low=0.1, high=2.0, log=True),
        "ignore_index": IGNORE,
    },
    example={"alpha": 0.5, "beta": 0.4, "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: symmetric_ce(alpha=h["alpha"], beta=h["beta"], ignore_index=int(h["ignore_index"])),
    code=lambda h: f"symmetric_ce(alpha={h['alpha']!r}, beta={h['beta']!r}, ignore_index={int(h['ignore_index'])})",
    suits=suits,
    aliases=("sce", "symmetric_cross_entropy"),
)
