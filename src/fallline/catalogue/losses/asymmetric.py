"""Asymmetric loss

What it does:
Binary cross-entropy on logits with a focus of its own for each side. Positives count (1 - p)^gamma_pos * -log p.
Negatives are first moved, p_m = max(p - shift, 0), and then count p_m^gamma_neg * -log(1 - p_m): a negative with p below
the shift is dropped altogether, one at p = 0.3 costs a three-hundredth at gamma_neg = 4, one at p = 0.95 half.

When it suits:
Multi-label problems with dozens of labels and more, of which each example has a few: nearly all of the plain gradient
says "no" there. Labels that are partly missing, since the very easiest and, by the power, the very numerous negatives
are quiet. The metric is mean average precision, F1 or recall.

When it does not:
Log loss, Brier score and any use of the probabilities: they come out far too high, as positives are quietened less. A
yes-or-no problem with a share of positives above a tenth, where bce_with_logits is better grounded. The gradient at the
start is small (a seventh of the plain one for a negative at p = 0.5), so it likes a longer training or a higher lr.

Source:
T. Ridnik et al., Asymmetric Loss for Multi-Label Classification, ICCV 2021. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction

if TYPE_CHECKING:
    import torch


def asymmetric_loss(gamma_neg: float, gamma_pos: float, shift: float) -> LossFunction:
    import torch
    from torch.nn.functional import logsigmoid

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        positive = -torch.exp(gamma_pos * logsigmoid(-output)) * logsigmoid(output)
        moved = (output.sigmoid() - shift).clamp(min=1e-8)  # not zero: a power below one has no slope there
        negative = -(moved**gamma_neg) * (1.0 - moved).clamp(min=1e-8).log()
        return (target * positive + (1.0 - target) * negative).mean()

    return loss


def suits(profile: Profile) -> float:
    # made for many labels a row that are mostly "no": one positive in 20 or fewer on average
    if profile.task != "multilabel" or not profile.class_counts:
        return 0.0
    share = sum(profile.class_counts) / (len(profile.class_counts) * max(profile.rows, 1))
    return 0.5 if share < 0.05 else 0.1


ENTRY = Loss(
    name="asymmetric",
    title="Asymmetric loss",
    source="Ridnik et al. (2021)",
    space={
        "gamma_neg": Hyperparameter(default=4.0, why="the paper's for images with many labels", low=1.0, high=6.0),
        "gamma_pos": Hyperparameter(default=1.0, why="the authors' code; the paper's text has 0 to 1", low=0.0, high=2.0),
        "shift": Hyperparameter(default=0.05, why="the paper's", low=0.0, high=0.2, below=1.0),
    },
    example={"gamma_neg": 2.0, "gamma_pos": 0.5, "shift": 0.1},
    tasks=("multilabel", "binary"),
    reads=("real",),
    build=lambda h: asymmetric_loss(gamma_neg=h["gamma_neg"], gamma_pos=h["gamma_pos"], shift=h["shift"]),
    code=lambda h: f"asymmetric_loss(gamma_neg={h['gamma_neg']!r}, gamma_pos={h['gamma_pos']!r}, shift={h['shift']!r})",
    suits=suits,
    metrics=("f1", "macro_f1"),
    ahead_for=("f1", "macro_f1"),
    aliases=("asl", "asymmetric_loss"),
)
