"""Cross-entropy with label smoothing

What it does:
Cross-entropy against softened targets: the right class is given 1 - s + s / C and each other class s / C, with s the
label_smoothing and C the number of classes. The best logits are then finite (for s = 0.1 and ten classes the right
one leads by log(91) = 4.5), so the network stops paying for ever more confidence.

When it suits:
Some labels are wrong, or experts would disagree: a wrong label costs a bounded amount more. Long trainings of image
classifiers (ResNet, ViT: 0.1), where it adds a few tenths of a point of accuracy and keeps log loss from rising at
the end. Translation and other sequence models with a softmax over a vocabulary (Transformer: 0.1).

When it does not:
Log loss on clean labels and large data: the model is told to hold back s of the probability, so its confidence comes
out too low. Two classes or few rows: a smoothing of 0.1 then moves the best answer a lot (log-odds at most 2.9). As a
teacher for distillation, since it wipes out how classes resemble each other. The train loss no longer goes to zero:
its floor is the entropy of the softened target, 0.50 for s = 0.1 and C = 10.

Source:
C. Szegedy et al., Rethinking the Inception Architecture, CVPR 2016; R. Muller, S. Kornblith and G. Hinton, When Does
Label Smoothing Help?, NeurIPS 2019. torch.nn.CrossEntropyLoss(label_smoothing=...).
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE


def build(h: Settings) -> LossFunction:
    import torch

    return torch.nn.CrossEntropyLoss(label_smoothing=h["label_smoothing"], ignore_index=int(h["ignore_index"]))


def suits(profile: Profile) -> float:
    # label noise is what it is for (5 to 20 % of labels); without an estimate, many passes are a sign that labels get learned by heart
    if profile.label_noise is not None:
        return min(1.0, max(0.0, (profile.label_noise - 0.02) / 0.1))
    return 0.5 if profile.passes >= 30 and profile.classes >= 5 else 0.2


ENTRY = Loss(
    name="cross_entropy_smoothed",
    title="Cross-entropy with label smoothing",
    source="Szegedy et al. (2016); Muller et al. (2019); torch.nn.CrossEntropyLoss(label_smoothing=...)",
    space={
        "label_smoothing": Hyperparameter(
            default=0.1, why="the value of Inception, the Transformer and ViT", low=0.02, high=0.2, below=1.0
        ),
        "ignore_index": IGNORE,
    },
    example={"label_smoothing": 0.3, "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=build,
    code=lambda h: f"torch.nn.CrossEntropyLoss(label_smoothing={h['label_smoothing']!r}, ignore_index={int(h['ignore_index'])})",
    stock="torch.nn.CrossEntropyLoss",
    suits=suits,
    metrics=("accuracy", "top5_accuracy"),
    ahead_for=("accuracy",),
    aliases=("label_smoothing", "ce_smoothed"),
)
