"""CORN, for classes with an order

What it does:
Asks of classes 0 to K - 1 in order: is it above 0? if so, above 1? ... Each of the K - 1 questions is a logit with binary
cross-entropy, taught only on the examples for which it arises, so that the chain of answers multiplies to a distribution
over the classes that is never contradictory. A model with K outputs serves as it is: the last one is not read.

When it suits:
Grades, stars, stages, age groups: classes whose numbers are an order, where being off by one is better than being off by
three. The metric is accuracy, absolute error between class numbers, or weighted kappa.

When it does not:
Classes without an order, for which the questions are meaningless; nothing in the data can tell, so no profile speaks for
this loss and it is tried where you name it. Classes whose distances matter in numbers: regression. Questions about the
last classes see few examples. The model handed back gives log-probabilities of the classes.

Source:
X. Shi, W. Cao and S. Raschka, Deep Neural Networks for Rank-Consistent Ordinal Regression Based on Conditional
Probabilities, Pattern Analysis and Applications 26 (2023). No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.catalogue import Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def corn_loss(ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logits, number = output[:, :-1], target.unsqueeze(1)
        question = torch.arange(logits.shape[1], device=target.device)  # is it above class k?
        asked = (number >= question) & (number != ignore_index)
        each = torch.nn.functional.softplus(logits) - logits * (number > question)
        return (each * asked).sum() / asked.sum()

    return loss


def link(output: torch.Tensor) -> torch.Tensor:
    import torch

    # log P(class k) = log P(above 0, ..., above k - 1) + log P(not above k)
    above, logsigmoid, pad = output[:, :-1], torch.nn.functional.logsigmoid, torch.nn.functional.pad
    return pad(logsigmoid(above).cumsum(1), (1, 0)) + pad(logsigmoid(-above), (0, 1))


ENTRY = Loss(
    name="corn",
    title="CORN, for classes with an order",
    source="Shi, Cao and Raschka (2023)",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("ordinal", "multiclass"),
    reads=("real",),
    build=lambda h: corn_loss(ignore_index=int(h["ignore_index"])),
    code=lambda h: f"corn_loss(ignore_index={int(h['ignore_index'])})",
    link=link,
    link_code=(
        "torch.nn.functional.pad(torch.nn.functional.logsigmoid(output[:, :-1]).cumsum(1), (1, 0))"
        " + torch.nn.functional.pad(torch.nn.functional.logsigmoid(-output[:, :-1]), (0, 1))"
    ),
    on_request="needs classes whose numbers are an order, which the data cannot tell; name it where they are",
    told_by=("ordinal",),
    metrics=("mae", "within_one"),
    aliases=("ordinal",),
)
