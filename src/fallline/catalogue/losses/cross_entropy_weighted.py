"""Class-weighted cross-entropy

What it does:
Cross-entropy in which an example of class c counts weight[c], and the batch mean is divided by the sum of its
weights. `balance` says how much of the imbalance is evened out: weight[c] is proportional to count[c]^-balance,
scaled to mean 1 over the examples of train. With counts of 900 and 100, balance 0.5 gives weights of 0.83 and 2.5,
balance 1 gives 0.56 and 5.

When it suits:
Classes of very different size and a metric that counts classes equally: balanced accuracy, macro F1. It moves the
decision borders towards the large classes by log(weight) on the logits. At balance 0.5 a class of 1 % keeps a voice
without shouting.

When it does not:
Accuracy and log loss, where every example counts the same and plain cross-entropy is right. Balanced data (largest to
smallest class below 3): weights then only add variance. With separable data and long training the weights wash out: a
network that fits train perfectly does so with any weights, and only early stopping shows a difference. Small classes
with wrong labels get louder as well. Probabilities come out shifted.

Source:
G. King and L. Zeng (2001); J. Byrd and Z. Lipton, What is the Effect of Importance Weighting in Deep Learning?, ICML
2019. torch.nn.CrossEntropyLoss(weight=...).
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss
from fallline.catalogue.losses._classes import IGNORE
from fallline.catalogue.losses._counts import BALANCE, settle_weight, weighted_code, weighted_cross_entropy


def suits(profile: Profile) -> float:
    # below 3 to 1 weights only add noise; from 30 to 1 the small classes hardly reach the gradient
    return min(1.0, max(0.0, (profile.imbalance - 3.0) / 27.0))


ENTRY = Loss(
    name="cross_entropy_weighted",
    title="Class-weighted cross-entropy",
    source="King and Zeng (2001); Byrd and Lipton (2019); torch.nn.CrossEntropyLoss(weight=...)",
    space={
        "balance": BALANCE,
        "weight": Hyperparameter(default=None, why="one number a class, computed from the counts of train and balance"),
        "ignore_index": IGNORE,
    },
    example={"balance": 0.9, "weight": [0.5, 1.0, 2.0, 4.0], "ignore_index": 0},
    tasks=("multiclass", "ordinal", "sequence"),
    reads=("real",),
    build=lambda h: weighted_cross_entropy(h),  # written here: an entry's page is looked for where its build is
    code=weighted_code,
    stock="torch.nn.CrossEntropyLoss",
    suits=suits,
    metrics=("balanced_accuracy", "macro_f1"),
    ahead_for=("macro_f1",),
    settle=settle_weight,
    aliases=("weighted_cross_entropy", "ce_weighted"),
)
