"""Multi-class margin loss (hinge)

What it does:
For logits z and the right class y: the mean over classes c other than y of max(0, margin - z[y] + z[c])^p, the sum being
divided by the number of classes. Once the right class leads every other by the margin, an example costs nothing and
has no gradient any more. p = 1 is the hinge of a support vector machine, p = 2 its smooth form.

When it suits:
Only the decision counts (accuracy), and the network should stop working on what is already decided by a clear margin:
nearest-prototype and linear models on fixed features, small data. Outputs need not be probabilities.

When it does not:
Log loss, Brier score, thresholds: scores are never probabilities, so a softmax over them means little. Many classes:
division by their number makes the gradient small, and lr has to rise with it. Deep networks trained from scratch, where
cross-entropy keeps teaching after the border is right and generalises better in nearly every comparison.

Source:
K. Crammer and Y. Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines, JMLR 2 (2001).
torch.nn.MultiMarginLoss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.catalogue import Hyperparameter, Loss, LossFunction
from fallline.catalogue.losses._classes import IGNORE

if TYPE_CHECKING:
    import torch


def multi_margin(margin: float, p: int, ignore_index: int) -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        kept = target != ignore_index  # torch's own knows no class to pass over
        index = target.where(kept, 0).unsqueeze(1)
        lacking = (margin - output.gather(1, index) + output).clamp(min=0.0) ** p
        each = lacking.scatter(1, index, 0.0).sum(dim=1) / output.shape[1]
        return torch.sum(each * kept) / kept.sum()

    return loss


ENTRY = Loss(
    name="multi_margin",
    title="Multi-class margin loss (hinge)",
    source="Crammer and Singer (2001); torch.nn.MultiMarginLoss",
    space={
        "margin": Hyperparameter(
            default=1.0, why="torch's default; the scale of the logits makes up for any other", low=0.1, high=4.0, log=True, above_zero=True
        ),
        "p": Hyperparameter(default=1, why="torch's default, the hinge itself", choices=(1, 2), whole=True, above_zero=True, below=3),
        "ignore_index": IGNORE,
    },
    example={"margin": 3.0, "p": 2, "ignore_index": 0},
    tasks=("multiclass",),
    reads=("real",),
    build=lambda h: multi_margin(margin=h["margin"], p=int(h["p"]), ignore_index=int(h["ignore_index"])),
    code=lambda h: f"multi_margin(margin={h['margin']!r}, p={int(h['p'])}, ignore_index={int(h['ignore_index'])})",
    aliases=("multimarginloss", "multiclass_hinge"),
)
