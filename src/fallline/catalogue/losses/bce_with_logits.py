"""Binary cross-entropy with logits

What it does:
For a logit z and a target y of 0 or 1: the mean of max(z, 0) - z * y + log(1 + exp(-|z|)), which equals -[y log
p + (1 - y) log(1 - p)] with p = sigmoid(z), computed so that no logit can overflow or reach log(0). The gradient is
p - y, at most 1 in size. A guess of one half costs log(2) = 0.693 for every example. Several columns are several
independent yes-or-no questions (multi-label).

When it suits:
Every binary or multi-label problem whose model ends in a linear layer. Like cross-entropy it is a proper scoring
rule: log loss and Brier score are served directly, AUROC and average precision nearly so, since ranking by the true
probability is the best ranking.

When it does not:
The model already ends in a sigmoid: then it would squash twice, outputs stay between 0.5 and 0.73, and training only
looks slow. Take bce, or better remove the sigmoid. With one positive in a hundred and F1 or balanced accuracy as the
metric, its threshold of one half predicts "no" everywhere: see bce_weighted and focal. In extreme multi-label
(thousands of columns, a handful set) almost all of the gradient says "no".

Source:
I. J. Good, Rational Decisions (1952); D. R. Cox, The Regression Analysis of Binary Sequences (1958).
torch.nn.BCEWithLogitsLoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.BCEWithLogitsLoss()


def suits(profile: Profile) -> float:
    # proper and unweighted: the right loss unless positives are rarer than about 1 in 20
    return 1.0 if profile.imbalance <= 20.0 else 0.5


ENTRY = Loss(
    name="bce_with_logits",
    title="Binary cross-entropy with logits",
    source="Good (1952); Cox (1958); torch.nn.BCEWithLogitsLoss",
    tasks=("binary", "multilabel"),
    reads=("real",),
    build=build,
    code=lambda h: "torch.nn.BCEWithLogitsLoss()",
    stock="torch.nn.BCEWithLogitsLoss",
    plain_for=("binary", "multilabel"),
    suits=suits,
    metrics=("log_loss", "brier", "auroc", "average_precision", "accuracy"),
    aliases=("bcewithlogits", "bce_logits", "logistic"),
)
