"""Multi-label margin loss

What it does:
For every pair of a label that is set and one that is not: max(0, 1 - z[set] + z[not set]), summed over the pairs of a
row and divided by the number of labels. It asks that each right label leads each wrong one by 1, and nothing else: only
the order of the labels within a row is learned. Reads targets of 0 and 1, where torch wants lists of label numbers.

When it suits:
Only the order counts: the best few labels are shown, and the metric is one of ranking within a row. A row with its
labels in the right order by a margin costs nothing, so training turns to the others.

When it does not:
Every metric that needs a threshold or a probability (F1, accuracy, log loss): a logit of zero means nothing, since adding
the same number to all logits of a row changes nothing. Rows with no label or with all of them teach nothing. Pairs
grow as set times not set, so rows with many labels shout louder. Take bce_with_logits unless order is all you want.

Source:
K. Crammer and Y. Singer, A Family of Additive Online Algorithms for Category Ranking, JMLR 3 (2003).
torch.nn.MultiLabelMarginLoss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.catalogue import Loss, LossFunction

if TYPE_CHECKING:
    import torch


def multilabel_margin() -> LossFunction:
    import torch

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        lacking = (1.0 - output.unsqueeze(2) + output.unsqueeze(1)).clamp(min=0.0)  # (row, set, not set)
        pairs = target.unsqueeze(2) * (1.0 - target.unsqueeze(1))
        return torch.sum(lacking * pairs) / output.numel()

    return loss


ENTRY = Loss(
    name="multilabel_margin",
    title="Multi-label margin loss",
    source="Crammer and Singer (2003); torch.nn.MultiLabelMarginLoss",
    tasks=("multilabel",),
    reads=("real",),
    build=lambda h: multilabel_margin(),
    code=lambda h: "multilabel_margin()",
    aliases=("multilabelmarginloss", "multilabel_hinge"),
)
