"""Tversky loss

What it does:
1 - overlap / (overlap + a * false positives + b * false negatives) for each class, all three counted with probabilities
over the places of the batch, averaged over classes. With a = b = 0.5 it is the Dice loss, with a = b = 1 one minus soft
intersection over union. b above a makes a missed place dearer than a spilt one.

When it suits:
Where Dice suits and the two errors do not cost the same: lesions that must not be missed (a = 0.3, b = 0.7 in the
paper), or the reverse. Recall is the metric, or F-beta with beta = sqrt(b / a).

When it does not:
Metrics that count both errors alike: take dice or dice_ce. Everything said of Dice holds here too: batches without the class,
certain borders, a slow beginning. b above 0.9 paints everything: a constant "yes" costs little then.

Source:
S. S. M. Salehi, D. Erdogmus and A. Gholipour, Tversky Loss Function for Image Segmentation Using 3D Fully
Convolutional Deep Networks, MLMI 2017. No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE, SMOOTH


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._regions import tversky_loss

    return tversky_loss(h["false_positives"], h["false_negatives"], smooth=h["smooth"], ignore_index=int(h["ignore_index"]))


def code(h: Settings) -> str:
    costs = f"{h['false_positives']!r}, {h['false_negatives']!r}"
    return f"tversky_loss({costs}, smooth={h['smooth']!r}, ignore_index={int(h['ignore_index'])})"


ENTRY = Loss(
    name="tversky",
    kin="dice",
    title="Tversky loss",
    source="Salehi, Erdogmus and Gholipour (2017)",
    space={
        "false_positives": Hyperparameter(
            default=0.3, why="the paper's, for lesions that must not be missed", low=0.1, high=0.9, above_zero=True
        ),
        "false_negatives": Hyperparameter(
            default=0.7, why="the paper's, for lesions that must not be missed", low=0.1, high=0.9, above_zero=True
        ),
        "smooth": SMOOTH,
        "ignore_index": IGNORE,
    },
    example={"false_positives": 0.5, "false_negatives": 0.4, "smooth": 0.1, "ignore_index": 0},
    tasks=("sequence", "multilabel", "binary"),
    reads=("real",),
    build=build,
    code=code,
    carries="fallline.catalogue.losses._regions",
    aliases=("tversky_loss",),
)
