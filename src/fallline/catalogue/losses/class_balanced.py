"""Class-balanced cross-entropy (effective number)

What it does:
Cross-entropy with class weights that level off: weight[c] is proportional to (1 - beta) / (1 - beta^n) for a class of n
examples, scaled to mean 1 over the examples of train. The idea: further examples of a class repeat earlier ones, so n
of them are worth (1 - beta^n) / (1 - beta). Classes far below 1 / (1 - beta) examples are weighted by inverse
frequency, classes far above all alike: with beta = 0.999 the turn lies at 1,000 examples.

When it suits:
Long-tailed classes, a few with thousands of examples and many with dozens, and a metric that counts classes equally
(balanced accuracy, macro F1), where inverse frequency makes the smallest classes too loud.

When it does not:
Where all classes have more than 5 / (1 - beta) examples it does nothing; where all have fewer than a tenth of it, it is
cross_entropy_weighted at balance 1. Accuracy and log loss, which count examples. As with all weights, a network that
fits train perfectly does so with any of them. Probabilities come out shifted.

Source:
Y. Cui, M. Jia, T.-Y. Lin, Y. Song and S. Belongie, Class-Balanced Loss Based on Effective Number of Samples, CVPR
2019. torch.nn.CrossEntropyLoss(weight=...).
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, Settings, Value
from fallline.catalogue.losses._classes import IGNORE
from fallline.catalogue.losses._counts import scaled, weighted_code, weighted_cross_entropy


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    counts, beta = profile.class_counts, float(h["beta"])
    if h.get("weight") is not None or not sum(counts):
        return dict(h)
    return {**h, "weight": scaled([(1.0 - beta) / (1.0 - beta ** max(count, 1)) for count in counts], counts)}


def suits(profile: Profile) -> float:
    # as cross_entropy_weighted, a little less: of two ways to the same weights the better known one goes first
    return 0.9 * min(1.0, max(0.0, (profile.imbalance - 3.0) / 27.0))


ENTRY = Loss(
    name="class_balanced",
    kin="cross_entropy_weighted",
    title="Class-balanced cross-entropy (effective number)",
    source="Cui et al. (2019); torch.nn.CrossEntropyLoss(weight=...)",
    space={
        "beta": Hyperparameter(
            default=0.999, why="the middle of the paper's 0.9 to 0.9999: the turn at 1,000 examples", low=0.9, high=0.9999, below=1.0
        ),
        "weight": Hyperparameter(default=None, why="one number a class, computed from the counts of train and beta"),
        "ignore_index": IGNORE,
    },
    example={"beta": 0.9, "weight": [0.5, 1.0, 2.0, 4.0], "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: weighted_cross_entropy(h),  # written here: an entry's page is looked for where its build is
    code=weighted_code,
    suits=suits,
    metrics=("balanced_accuracy", "macro_f1"),
    settle=settle,
    aliases=("effective_number", "class_balanced_loss"),
)
