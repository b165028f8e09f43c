"""CORAL, for classes with an order

What it does:
Of classes 0 to K - 1 it asks K - 1 questions, "is it above class k?", each a logit with binary cross-entropy, added up over the
questions. All logits are one weighted sum of the features with a number of its own added, so one direction orders the
examples and K - 1 thresholds cut it. The model's last layer is replaced by such a one, and that is said.

When it suits:
Grades, stars, stages, age groups: classes whose numbers are an order, judged by absolute error, weighted kappa or accuracy within one.
Few examples: it has one weight vector where cross-entropy has K.

When it does not:
Classes without an order, and orders in which what speaks for the highest class is not what speaks against the lowest: one direction
cannot say it, and corn, which keeps a weight vector a question, or cross-entropy can. A model whose last layer cannot be
replaced. The thresholds are in order once it has trained, not before. The model handed back gives log-probabilities of
the classes; what lies between thresholds that have crossed gets the smallest number there is.

Source:
W. Cao, V. Mirjalili and S. Raschka, Rank Consistent Ordinal Regression for Neural Networks with Application to Age Estimation,
Pattern Recognition Letters 140 (2020). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def coral_loss(ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        number = target.unsqueeze(1)
        above = number > torch.arange(output.shape[1], device=target.device)
        each = (torch.nn.functional.softplus(output) - output * above).sum(dim=1)
        kept = target != ignore_index
        return (each * kept).sum() / kept.sum()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    import torch

    # P(class k) = P(above k - 1) - P(above k), with thresholds that have crossed taken as equal
    above, pad = output.sigmoid().cummin(1).values, torch.nn.functional.pad
    return (pad(above, (1, 0), value=1.0) - pad(above, (0, 1))).clamp(min=torch.finfo(output.dtype).eps).log()


def outputs(profile: Profile) -> int:
    return max(profile.classes - 1, 1)


ENTRY = Loss(
    name="coral",
    title="CORAL, for classes with an order",
    source="Cao, Mirjalili and Raschka (2020)",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("ordinal", "multiclass"),
    reads=("real",),
    build=lambda h: coral_loss(ignore_index=int(h["ignore_index"])),
    code=lambda h: f"coral_loss(ignore_index={int(h['ignore_index'])})",
    outputs=outputs,
    link=link,
    link_code=(
        "(torch.nn.functional.pad(output.sigmoid().cummin(1).values, (1, 0), value=1.0)"
        " - torch.nn.functional.pad(output.sigmoid().cummin(1).values, (0, 1))).clamp(min=torch.finfo(output.dtype).eps).log()"
    ),
    on_request="needs classes whose numbers are an order, which the data cannot tell; name it where they are",
    told_by=("ordinal",),
    metrics=("mae", "within_one"),
    aliases=("coral_loss",),
)
