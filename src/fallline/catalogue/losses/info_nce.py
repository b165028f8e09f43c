"""InfoNCE (NT-Xent), with class labels

What it does:
Embeddings are put on the unit sphere. Each pair of one class in the batch is an answer among itself and all strangers of its
first example: cosine similarities over a temperature, softmax, minus the log of the right one's share; the mean over pairs.

When it suits:
Embeddings from classes of few examples each, where a pair is a question of its own: two views or two photographs of one thing.
Large batches: each stranger in it is one more wrong answer.

When it does not:
Batches that hold no two of a class, which teach nothing. Classes of very different size: pairs grow with the square of a class,
so large ones rule; supervised_contrastive counts each example once. A temperature far too low makes it a loss of the single
nearest stranger.

Source:
A. van den Oord, Y. Li and O. Vinyals, Representation Learning with Contrastive Predictive Coding (2018); T. Chen et al., A
Simple Framework for Contrastive Learning of Visual Representations, ICML 2020. No class in torch.
"""

from __future__ import annotations

from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._pairs import info_nce

    return info_nce(temperature=h["temperature"])


ENTRY = Loss(
    name="info_nce",
    title="InfoNCE (NT-Xent), with class labels",
    source="van den Oord, Li and Vinyals (2018); Chen et al. (2020)",
    space={
        "temperature": Hyperparameter(
            default=0.1, why="best of 0.05, 0.1, 0.5 and 1 in Chen et al., table 5", low=0.05, high=0.5, log=True, above_zero=True
        ),
    },
    example={"temperature": 0.3},
    tasks=("embedding",),
    reads=("real",),
    build=build,
    code=lambda h: f"info_nce(temperature={h['temperature']!r})",
    carries="fallline.catalogue.losses._pairs",
    pairs=True,
    metrics=("recall_at_1", "map_at_r"),
    aliases=("nt_xent", "ntxent", "infonce"),
)
