"""Label-distribution-aware margin loss (LDAM)

What it does:
Takes a margin off the logit of the right class before cross-entropy: max_margin for the smallest class, and
proportional to n^(-1/4) for the others, n being the class's number of examples. A rare class so has to win by more,
which leaves room around its few examples; the exponent is the one that balances the two sides of a generalisation bound.

When it suits:
Long-tailed classes and a network that fits train without error: margins still act there, where weights wash out. The
metric is balanced accuracy, macro F1, or plain accuracy with rare classes in it. The paper turns weights on as well
in the last fifth of training (DRW), which this entry leaves out.

When it does not:
Balanced classes: all margins are the same, and it is cross-entropy with a shifted target. Log loss and calibrated
probabilities. In the paper the last layer has unit-length weights and features, and the logits are multiplied by 30;
there a margin of 0.5 means something fixed. A plain linear layer can grow past any margin: keep weight decay on.

Source:
K. Cao, C. Wei, A. Gaidon, N. Arechiga and T. Ma, Learning Imbalanced Datasets with Label-Distribution-Aware Margin
Loss, NeurIPS 2019. No class in torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def ldam_loss(margin: list[float] | None, scale: float, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if margin is not None:
            index = target.where(target != ignore_index, 0).unsqueeze(1)
            output = output.scatter_add(1, index, -output.new_tensor(margin)[index])
        return torch.nn.functional.cross_entropy(scale * output, target, ignore_index=ignore_index)

    return loss


def settle(h: Settings, profile: Profile) -> dict[str, Value]:
    if h.get("margin") is not None or not sum(profile.class_counts):
        return dict(h)
    raw = [max(count, 1) ** -0.25 for count in profile.class_counts]
    return {**h, "margin": [float(h["max_margin"] * value / max(raw)) for value in raw]}


def suits(profile: Profile) -> float:
    # as the losses with class weights, behind those that need no special last layer to be what their paper says
    return 0.6 * min(1.0, max(0.0, (profile.imbalance - 3.0) / 27.0))


ENTRY = Loss(
    name="ldam",
    title="Label-distribution-aware margin loss (LDAM)",
    source="Cao et al. (2019)",
    space={
        "max_margin": Hyperparameter(default=0.5, why="the paper's, for the rarest class", low=0.1, high=2.0, log=True, above_zero=True),
        "margin": Hyperparameter(default=None, why="one number a class, computed from the counts of train and max_margin"),
        "scale": Hyperparameter(
            default=1.0,
            why="a linear layer finds its own scale; the paper's 30 is for cosines",
            low=1.0,
            high=30.0,
            log=True,
            above_zero=True,
        ),
        "ignore_index": IGNORE,
    },
    example={"max_margin": 1.0, "margin": [0.2, 0.4, 0.6, 0.8], "scale": 2.0, "ignore_index": 0},
    tasks=("multiclass", "sequence"),
    reads=("real",),
    build=lambda h: ldam_loss(margin=h.get("margin"), scale=h["scale"], ignore_index=int(h["ignore_index"])),
    code=lambda h: f"ldam_loss(margin={h.get('margin')!r}, scale={h['scale']!r}, ignore_index={int(h['ignore_index'])})",
    suits=suits,
    metrics=("balanced_accuracy", "macro_f1"),
    settle=settle,
    aliases=("ldam_loss",),
)
