"""Class-weighted binary cross-entropy

What it does:
Binary cross-entropy with logits in which a positive example counts pos_weight times: the mean of -[pos_weight * y log
p + (1 - y) log(1 - p)]. `balance` says how much of the imbalance is evened out: pos_weight is
(negatives / positives)^balance, measured on train for each label. With 1 positive in 100 that is 10 at balance 0.5
and 99 at balance 1. The outputs move by log(pos_weight): the threshold of one half then stands where p was
1 / (1 + pos_weight).

When it suits:
Rare positives and a metric that counts both classes equally or looks at positives: balanced accuracy, F1, recall.
Multi-label problems whose labels have very different frequencies. The square root (0.5) is the sober choice: full
balance makes each of few positives so loud that the network learns them by heart.

When it does not:
Log loss, Brier score and calibrated probabilities: the weight shifts them on purpose, and it takes a correction of
log(pos_weight) on the logits to undo. AUROC and average precision depend on the order only and hardly change, so
plain bce_with_logits is the better guess there. A batch without a positive teaches nothing about them whatever the
weight: at 1 in 1,000 use larger batches. A large pos_weight makes gradients spike: lower lr or clip.

Source:
G. King and L. Zeng, Logistic Regression in Rare Events Data, Political Analysis 9 (2001).
torch.nn.BCEWithLogitsLoss(pos_weight=...).
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings
from fallline.catalogue.losses._counts import BALANCE, settle_pos_weight


def build(h: Settings) -> LossFunction:
    import torch

    weight = h.get("pos_weight")  # a recipe leaves out what is None
    return torch.nn.BCEWithLogitsLoss(pos_weight=None if weight is None else torch.tensor(weight))


def code(h: Settings) -> str:
    weight = None if h.get("pos_weight") is None else f"torch.tensor({h['pos_weight']!r})"
    return f"torch.nn.BCEWithLogitsLoss(pos_weight={weight})"


def suits(profile: Profile) -> float:
    # below 3 to 1 weights only add noise; from 30 to 1 the threshold of one half sits where hardly any example is
    return min(1.0, max(0.0, (profile.imbalance - 3.0) / 27.0))


ENTRY = Loss(
    name="bce_weighted",
    title="Class-weighted binary cross-entropy",
    source="King and Zeng (2001); torch.nn.BCEWithLogitsLoss(pos_weight=...)",
    space={
        "balance": BALANCE,
        "pos_weight": Hyperparameter(default=None, why="computed from the counts of train and balance", above_zero=True),
    },
    example={"balance": 0.9, "pos_weight": 7.0},
    tasks=("binary", "multilabel"),
    reads=("real",),
    build=build,
    code=code,
    stock="torch.nn.BCEWithLogitsLoss",
    suits=suits,
    metrics=("balanced_accuracy", "f1", "macro_f1"),
    ahead_for=("f1", "macro_f1"),
    settle=settle_pos_weight,
    aliases=("weighted_bce",),
)
