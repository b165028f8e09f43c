"""Lovasz loss

What it does:
The tightest convex stand-in for one minus intersection over union. The errors of all places are sorted, largest first,
and the k-th is multiplied by what the index would lose if it, too, were wrong. Errors are hinges max(0, 1 - z * sign) for
yes-or-no columns and |y - p| after a softmax for classes, averaged over the classes that occur in the batch.

When it suits:
Segmentation judged by intersection over union (Jaccard), above all with small objects: it works on the index itself, where
cross-entropy works on places. Usually as the second half of a training that began with cross-entropy.

When it does not:
From the start of a training: until half of the places are right, its gradient sits on whatever errors are largest.
Probabilities, which it leaves uncalibrated. Small batches: the index is taken over the batch, and is not that over all
data. The sort costs n log n of all places, noticeable for large masks.

Source:
M. Berman, A. R. Triki and M. B. Blaschko, The Lovasz-Softmax Loss, CVPR 2018; J. Yu and M. Blaschko, Learning Submodular
Losses with the Lovasz Hinge, ICML 2015. No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Loss, LossFunction, Settings
from fallline.catalogue.losses._classes import IGNORE


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._regions import lovasz_loss

    return lovasz_loss(ignore_index=int(h["ignore_index"]))


ENTRY = Loss(
    name="lovasz",
    title="Lovasz loss",
    source="Berman, Triki and Blaschko (2018); Yu and Blaschko (2015)",
    space={"ignore_index": IGNORE},
    example={"ignore_index": 0},
    tasks=("sequence", "multilabel", "binary"),
    reads=("real",),
    build=build,
    code=lambda h: f"lovasz_loss(ignore_index={int(h['ignore_index'])})",
    carries="fallline.catalogue.losses._regions",
    aliases=("lovasz_softmax", "lovasz_hinge"),
)
