"""Binary cross-entropy on probabilities

What it does:
For a probability p, which the model itself makes with a sigmoid, and a target y of 0 or 1: the mean of -[y log
p + (1 - y) log(1 - p)]. torch cuts each logarithm at -100, so that a confident wrong answer costs 100 and not
infinity. The gradient on p is (p - y) / (p (1 - p)), which the sigmoid's own slope turns into p - y. A guess of one
half costs 0.693.

When it suits:
The model already ends in a sigmoid and cannot be changed: somebody else's network, a mixture of probabilities, a
product of several. Then nothing else fits, and Fallline offers it because the outputs lie between 0 and 1.

When it does not:
If you can, drop the sigmoid and take bce_with_logits: in float32 a sigmoid is exactly 1 from a logit of about 17 on,
and from there the loss has no gradient left, however wrong the answer. Outputs outside [0, 1] are refused by torch
with an error, and under half precision (autocast) it is refused altogether. Probabilities of classes that add up to 1
belong to nll, after a log.

Source:
I. J. Good, Rational Decisions, Journal of the Royal Statistical Society B 14 (1952). torch.nn.BCELoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.BCELoss()


def suits(profile: Profile) -> float:
    # it applies to probabilities only, and is then what the model was made for
    return 1.0


ENTRY = Loss(
    name="bce",
    title="Binary cross-entropy on probabilities",
    source="Good (1952); torch.nn.BCELoss",
    tasks=("binary", "multilabel"),
    reads=("probability",),
    build=build,
    code=lambda h: "torch.nn.BCELoss()",
    stock="torch.nn.BCELoss",
    plain_for=("binary", "multilabel"),
    suits=suits,
    metrics=("log_loss", "brier", "auroc", "average_precision", "accuracy"),
    aliases=("bceloss", "binary_cross_entropy"),
)
