"""Dice loss

What it does:
1 - 2 * sum(p * y) / (sum(p) + sum(y)) for each class, with p the probability and y the truth, averaged over classes: one
minus a soft F1. Sums run over all places of the batch, so a class that fills 1 % of them counts as much as one that
fills half, and true negatives count nothing. Yes-or-no columns are read as logits, class logits through a softmax.

When it suits:
Masks and labels in which the foreground is small (organs, defects, cells), judged by Dice, F1 or intersection over
union. Imbalance needs no weights here, since a class is measured against its own size.

When it does not:
Small batches of which many lack the class: its value then jumps between 0 and 1 from batch to batch, and the gradient with
it. Probabilities: it pushes them to 0 and 1, and a border where experts disagree comes out certain. At the start all
gradients are small and of like size, so it begins slowly; dice_ce begins as cross-entropy does and is the safer choice.

Source:
F. Milletari, N. Navab and S.-A. Ahmadi, V-Net, 3DV 2016. No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE, SMOOTH


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._regions import tversky_loss

    return tversky_loss(0.5, 0.5, smooth=h["smooth"], ignore_index=int(h["ignore_index"]))


ENTRY = Loss(
    name="dice",
    title="Dice loss",
    source="Milletari, Navab and Ahmadi (2016), V-Net",
    space={
        "smooth": SMOOTH,
        "ignore_index": IGNORE,
    },
    example={"smooth": 0.1, "ignore_index": 0},
    tasks=("sequence", "multilabel", "binary"),
    reads=("real",),
    build=build,
    code=lambda h: f"tversky_loss(0.5, 0.5, smooth={h['smooth']!r}, ignore_index={int(h['ignore_index'])})",
    carries="fallline.catalogue.losses._regions",
    aliases=("dice_loss", "soft_dice", "soft_f1"),
)
