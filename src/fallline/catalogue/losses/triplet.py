"""Triplet loss, of the hardest in the batch

What it does:
Embeddings are put on the unit sphere. For each example of a batch: the squared distance to the farthest other of its class, minus that to
the nearest of another class, plus a margin, at least zero; the mean over examples that have both. Nothing else counts, so every
step is spent on what is still wrong.

When it suits:
Search and recognition by the nearest example, with clean labels and batches in which most classes occur several times: the
examples that decide recall at 1 are the ones it looks at.

When it does not:
Wrong labels: the hardest pair of all is a wrong one. Early in training it can draw everything into one point, where the loss
stands at the margin: lower the lr, or take supervised_contrastive, which reads all pairs. Batches without two of a class teach
nothing.

Source:
F. Schroff, D. Kalenichenko and J. Philbin, FaceNet, CVPR 2015; A. Hermans, L. Beyer and B. Leibe, In Defense of the Triplet
Loss for Person Re-Identification (2017). torch.nn.TripletMarginLoss takes triplets that somebody else has formed.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._pairs import triplet_loss

    return triplet_loss(margin=h["margin"])


ENTRY = Loss(
    name="triplet",
    title="Triplet loss, of the hardest in the batch",
    source="Schroff, Kalenichenko and Philbin (2015); Hermans, Beyer and Leibe (2017)",
    space={
        "margin": Hyperparameter(
            default=0.2,
            why="FaceNet's, in squared distances on the unit sphere, which end at 4",
            low=0.05,
            high=0.8,
            log=True,
            above_zero=True,
        ),
    },
    example={"margin": 0.7},
    tasks=("embedding",),
    reads=("real",),
    build=build,
    code=lambda h: f"triplet_loss(margin={h['margin']!r})",
    carries="fallline.catalogue.losses._pairs",
    pairs=True,
    metrics=("recall_at_1", "map_at_r"),
    aliases=("triplet_margin", "batch_hard"),
)
