"""Recall at 1

What it does:
    The share of examples whose nearest other example in the split, by cosine similarity of the embeddings, is of their own class; 1 is
    perfect. An example that is alone in its class cannot be found, and counts as missed.
When it suits:
    Search and recognition by the nearest known example: faces, products, species. It is what papers on metric learning report.
When it does not:
    The order further down matters (map_at_r): one neighbour of the class among many strangers is enough for it. It falls as more
    examples are searched, so splits of different size cannot be compared.
Source:
    Jegou, Douze and Schmid (2011), "Product quantization for nearest neighbor search".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of
from fallline.metrics._neighbours import alike, similar

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    found = scores.new_full((len(target),), float("nan")).double()
    for rows, similarity in similar(scores):
        best = similarity.amax(1, keepdim=True)
        nearest = similarity == best  # several where embeddings are equal: each is as likely to be the one
        share = (nearest & alike(target, rows)).sum(1).double() / nearest.sum(1)
        found[rows] = share  # 0 / 0 where an embedding is NaN: a diverged model finds nothing
    return found


ENTRY = Metric(
    name="recall_at_1",
    title="Recall at 1",
    direction="max",
    best=1.0,
    tasks=("embedding",),
    whole=mean_of(each),
    each=each,
    source="Jegou, Douze and Schmid, 2011, https://doi.org/10.1109/TPAMI.2010.57",
    default_for=("embedding",),
    aliases=("recall1", "precision_at_1", "r_at_1"),
    among_others=True,
)
