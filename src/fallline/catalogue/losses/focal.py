"""Focal loss

What it does:
Cross-entropy in which an example that is already right counts less: (1 - p)^gamma * -log p, p being the probability
of the right class. At gamma = 2 an example with p = 0.9 counts a hundredth, one with p = 0.5 a quarter, and one that
is quite wrong counts fully. gamma = 0 is plain cross-entropy. Yes-or-no columns are read as logits of independent
questions, class logits (N, C) or (N, C, T) through a softmax. `balance` adds class weights as in bce_weighted and
cross_entropy_weighted.

When it suits:
Very many easy examples of one kind drown the few that matter: detection (1,000 backgrounds for each object), rare
defects, multi-label with hundreds of columns. The metric is F1 or average precision. It also keeps long trainings
from ever growing confidence: log loss on valid often rises later than under cross-entropy.

When it does not:
Wrong labels: they are the examples that stay hard, so the loss turns to them more and more. Log loss and calibrated
probabilities, since it is no proper scoring rule (confidence comes out too low at gamma = 2). Balanced data, where it
mostly trains more slowly: from p = 0.5 on the gradient falls below 0.6 of cross-entropy's, and at p = 0.9 below 0.03,
so the last corrections hardly come through. gamma above 5 listens to a handful of examples.

Source:
T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollar, Focal Loss for Dense Object Detection, ICCV 2017. No class in
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value
from fallline.catalogue.losses._classes import IGNORE
from fallline.catalogue.losses._counts import class_weights, positive_weights

if TYPE_CHECKING:
    import torch


def focal_loss(gamma: float, weight: float | list[float] | None, ignore_index: int) -> LossFunction:
    import torch
    from torch.nn.functional import log_softmax, logsigmoid, softplus

    def yes_or_no(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        # In logarithms no power of an underflown probability is differentiated: log(1 - p) = logsigmoid(-z) is exact and smooth.
        positive = torch.exp(gamma * logsigmoid(-output)) * softplus(-output) * target
        if weight is not None:
            positive = positive * output.new_tensor(weight)
        negative = torch.exp(gamma * logsigmoid(output)) * softplus(output) * (1.0 - target)
        return (positive + negative).mean()

    def one_of_several(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        kept = target != ignore_index
        index = target.where(kept, 0).unsqueeze(1)
        right = log_softmax(output, dim=1).gather(1, index).squeeze(1)
        # log(1 - p): the other classes' share of the softmax, again without 1 - p
        others = output.scatter(1, index, float("-inf")).logsumexp(1) - output.logsumexp(1)
        each = -torch.exp(gamma * others) * right
        counts = kept.to(output.dtype)
        if weight is not None:
            counts = counts * output.new_tensor(weight)[index.squeeze(1)]
        return (each * counts).sum() / counts.sum()  # as torch does: the mean over weights, ignored places apart

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if output.shape == target.shape:
            return yes_or_no(output, target.to(output.dtype))
        return one_of_several(output, target)

    return loss


def code(h: Settings) -> str:
    return f"focal_loss(gamma={h['gamma']!r}, weight={h.get('weight')!r}, ignore_index={int(h['ignore_index'])})"


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    # no balance, no weights: gamma alone then does the work, and the recipe stays short
    if h.get("weight") is not None or not h["balance"] or not sum(profile.class_counts):
        return dict(h)
    columns = profile.task in ("binary", "multilabel")
    weight: Value = positive_weights(profile, h["balance"]) if columns else class_weights(profile.class_counts, h["balance"])
    return {**h, "weight": weight}


def suits(profile: Profile) -> float:
    noisy = profile.label_noise is not None and profile.label_noise > 0.1  # wrong labels are what it would listen to
    # made for 1,000 to 1; below 5 to 1 easy examples do not drown the others
    return 0.0 if noisy else min(1.0, max(0.0, (profile.imbalance - 5.0) / 45.0))


ENTRY = Loss(
    name="focal",
    title="Focal loss",
    source="Lin et al. (2017), Focal Loss for Dense Object Detection",
    space={
        "gamma": Hyperparameter(default=2.0, why="best of 0 to 5 in the paper", low=0.5, high=4.0),
        "balance": Hyperparameter(
            default=0.0,
            why="gamma already quietens the large class; the paper found strong class weights worse beside it",
            low=0.0,
            high=1.0,
        ),
        "weight": Hyperparameter(default=None, why="computed from the counts of train and balance; none at balance 0"),
        "ignore_index": IGNORE,
    },
    example={"gamma": 1.0, "balance": 0.5, "weight": [0.5, 1.0, 2.0, 4.0], "ignore_index": 0},
    tasks=("binary", "multilabel", "multiclass", "sequence"),
    reads=("real",),
    build=lambda h: focal_loss(gamma=h["gamma"], weight=h.get("weight"), ignore_index=int(h["ignore_index"])),
    code=code,
    suits=suits,
    metrics=("f1", "macro_f1", "average_precision"),
    settle=settle,
    aliases=("focal_loss",),
)
