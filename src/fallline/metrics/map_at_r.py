"""Mean average precision at R (MAP@R)

What it does:
    For each example, of whose class there are R others in the split, the R nearest others by cosine similarity: the mean over places
    1 to R of the precision up to that place, where the place holds one of the class, else 0. 1 means that all R come first.
When it suits:
    Embeddings whose whole neighbourhood matters; it tells apart what recall_at_1 calls equal, and is steadier over seeds.
When it does not:
    Only the first answer is used (recall_at_1). An example that is alone in its class counts as 0.
Source:
    Musgrave, Belongie and Lim (2020), "A metric learning reality check".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline.metrics import Metric
from fallline.metrics._means import mean_of
from fallline.metrics._neighbours import alike, similar

if TYPE_CHECKING:
    import torch


def each(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import torch

    found = scores.new_zeros(len(target)).double()
    for rows, similarity in similar(scores):
        same = alike(target, rows)
        others = same.sum(1)
        # Of equal similarities strangers come first: equal embeddings tell nothing apart, and the order of rows must not matter.
        strangers_first = same.long().argsort(dim=1, stable=True)
        by_place = strangers_first.gather(1, similarity.gather(1, strangers_first).argsort(dim=1, descending=True, stable=True))
        hits = same.gather(1, by_place)[:, : max(int(others.max()), 1)].double()
        place = torch.arange(1, hits.shape[1] + 1, dtype=torch.float64)
        counted = hits * (place <= others.unsqueeze(1))
        average = (hits.cumsum(1) / place * counted).sum(1) / others.clamp(min=1)
        found[rows] = average.masked_fill(similarity.isnan().any(1), float("nan"))
    return found


ENTRY = Metric(
    name="map_at_r",
    title="Mean average precision at R (MAP@R)",
    direction="max",
    best=1.0,
    tasks=("embedding",),
    whole=mean_of(each),
    each=each,
    source="Musgrave, Belongie and Lim, 2020, https://arxiv.org/abs/2003.08505",
    aliases=("mean_average_precision_at_r", "mapr"),
    among_others=True,
)
