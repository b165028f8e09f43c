"""Cross-entropy

What it does:
For class logits z of shape (N, C) or (N, C, T) and class numbers y: the mean of -log softmax(z)[y], which is the
negative log-likelihood of the right class. The softmax is inside, in the numerically safe log-sum-exp form: hand it
raw logits. The gradient with respect to the logits is softmax(z) - onehot(y), bounded and never flat for a wrong
answer. A guess without knowledge costs log(C): 2.303 for ten classes, which is what the first step should show.

When it suits:
Every problem with one class out of several for each example, or for each position of a sequence. It is a proper
scoring rule: with enough data the softmax becomes the true probabilities, so log loss, accuracy and threshold-based
decisions are all served. Positions that hold padding are left out by `ignore_index` (-100 unless the data uses
another number).

When it does not:
It never stops rewarding confidence: long after train accuracy reaches 100 % the logits keep growing, and valid log
loss rises while accuracy stays (label smoothing or early stopping helps). With wrong labels the log makes each of
them very expensive. With 1 % minority classes it may ignore them if the metric counts classes equally: see
cross_entropy_weighted. Softmax before it is a silent error that trains slowly. A batch in which all targets are
ignored gives NaN.

Source:
I. J. Good, Rational Decisions, Journal of the Royal Statistical Society B 14 (1952). torch.nn.CrossEntropyLoss.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.CrossEntropyLoss(ignore_index=int(h["ignore_index"]))


def suits(profile: Profile) -> float:
    # the right loss as long as classes are not rarer than 1 in 20 of the largest one
    return 1.0 if profile.imbalance <= 20.0 else 0.5


ENTRY = Loss(
    name="cross_entropy",
    title="Cross-entropy",
    source="Good (1952); torch.nn.CrossEntropyLoss",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("multiclass", "ordinal", "sequence"),
    reads=("real",),
    build=build,
    code=lambda h: f"torch.nn.CrossEntropyLoss(ignore_index={int(h['ignore_index'])})",
    stock="torch.nn.CrossEntropyLoss",
    plain_for=("multiclass", "ordinal", "sequence"),
    suits=suits,
    metrics=("log_loss", "perplexity", "accuracy", "top5_accuracy"),
    aliases=("ce", "softmax_cross_entropy", "crossentropy", "cross_entropy_loss"),
)
