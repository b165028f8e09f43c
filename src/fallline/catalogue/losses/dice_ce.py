"""Dice plus cross-entropy

What it does:
Cross-entropy (the binary one on logits for yes-or-no columns) plus dice_weight times the Dice loss. Cross-entropy gives
every place a steady gradient from the first step on, Dice makes small classes count as much as large ones at the end.

When it suits:
Segmentation as it is mostly done (nnU-Net trains everything with it): masks with small foregrounds, judged by Dice or
intersection over union, that should also begin to learn at once and keep usable probabilities. Multi-label problems
judged by F1.

When it does not:
Balanced classes judged by accuracy or log loss, where cross-entropy alone is right and the second term only moves its
minimiser. Very small foregrounds (1 place in 10,000), where the mean of cross-entropy is all background: raise
dice_weight, or take dice or tversky.

Source:
F. Isensee et al., nnU-Net, Nature Methods 18 (2021); S. A. Taghanaki et al., Combo Loss (2019). No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE, SMOOTH


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._regions import dice_ce_loss

    return dice_ce_loss(dice_weight=h["dice_weight"], smooth=h["smooth"], ignore_index=int(h["ignore_index"]))


def code(h: Settings) -> str:
    return f"dice_ce_loss(dice_weight={h['dice_weight']!r}, smooth={h['smooth']!r}, ignore_index={int(h['ignore_index'])})"


ENTRY = Loss(
    name="dice_ce",
    title="Dice plus cross-entropy",
    source="Isensee et al. (2021), nnU-Net",
    space={
        "dice_weight": Hyperparameter(default=1.0, why="nnU-Net's and MONAI's", low=0.1, high=10.0, log=True, above_zero=True),
        "smooth": SMOOTH,
        "ignore_index": IGNORE,
    },
    example={"dice_weight": 3.0, "smooth": 0.1, "ignore_index": 0},
    tasks=("sequence", "multilabel", "binary"),
    reads=("real",),
    build=build,
    code=code,
    carries="fallline.catalogue.losses._regions",
    aliases=("dice_bce", "combo"),
)
