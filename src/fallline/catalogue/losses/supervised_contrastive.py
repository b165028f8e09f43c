"""Supervised contrastive loss (SupCon)

What it does:
Embeddings are put on the unit sphere. For each example of a batch, all others are answers, by a softmax of cosine similarities over
a temperature; minus the log of their share, averaged over those of its class; the mean over examples.

When it suits:
Embeddings by class in general: every pair counts and every example counts once, so it does not collapse as hard triplets do, and
classes of different size are fair to each other. The plain loss of the task here.

When it does not:
Batches that hold no two of a class, which teach nothing: a batch should hold a few times as many examples as there are classes.
Classes that consist of several clusters: it draws all of a class together. Others of the class stand in the denominator too, so
the loss does not fall to zero.

Source:
P. Khosla et al., Supervised Contrastive Learning, NeurIPS 2020 (eq. 2). No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._pairs import supervised_contrastive

    return supervised_contrastive(temperature=h["temperature"])


ENTRY = Loss(
    name="supervised_contrastive",
    title="Supervised contrastive loss (SupCon)",
    source="Khosla et al. (2020)",
    space={
        "temperature": Hyperparameter(default=0.1, why="the authors', chosen on ImageNet", low=0.05, high=0.5, log=True, above_zero=True),
    },
    example={"temperature": 0.3},
    tasks=("embedding",),
    reads=("real",),
    build=build,
    code=lambda h: f"supervised_contrastive(temperature={h['temperature']!r})",
    carries="fallline.catalogue.losses._pairs",
    pairs=True,
    plain_for=("embedding",),
    metrics=("recall_at_1", "map_at_r"),
    aliases=("supcon", "sup_con"),
)
