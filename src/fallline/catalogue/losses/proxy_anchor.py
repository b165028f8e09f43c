"""Proxy anchor loss

What it does:
Embeddings are put on the unit sphere, and so is a learnt proxy for each class. A proxy draws the examples of its class in, the far ones
most, and pushes all others away, the near ones most: log(1 + sum of exp(scale (margin - cos))) over its own, the same with
(margin + cos) over the others. The proxies are parameters of the loss: they join the optimizer, and are thrown away at the end.

When it suits:
Batches that seldom hold two examples of a class: each meets a proxy of its class in any case. It learns in few passes, since it
compares examples with classes and not with each other.

When it does not:
Thousands of classes with a handful of examples each: their proxies are seldom drawn anywhere. Its default lr is that of the
model, which can be too low for proxies: the authors take a hundred times as much for them. Classes of several clusters.

Source:
S. Kim, D. Kim, M. Cho and S. Kwak, Proxy Anchor Loss for Deep Metric Learning, CVPR 2020 (eq. 4). No class in torch.
"""

from __future__ import annotations

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, Loss, LossFunction, Settings, Value


def build(h: Settings) -> LossFunction:
    from fallline.catalogue.losses._pairs import ProxyAnchor

    return ProxyAnchor(int(h["classes"]), int(h["dimensions"]), margin=h["margin"], scale=h["scale"])


def settle(settings: Settings, profile: Profile) -> dict[str, Value]:
    # how many proxies, and in how many dimensions, follows from targets and outputs
    classes, dimensions = settings["classes"], settings["dimensions"]
    return {
        **settings,
        "classes": profile.classes if classes is None else classes,
        "dimensions": profile.output_shape[-1] if dimensions is None else dimensions,
    }


ENTRY = Loss(
    name="proxy_anchor",
    title="Proxy anchor loss",
    source="Kim, Kim, Cho and Kwak (2020)",
    space={
        "margin": Hyperparameter(default=0.1, why="the authors'", low=0.02, high=0.4, log=True, above_zero=True),
        "scale": Hyperparameter(default=32.0, why="the authors'", low=8.0, high=64.0, log=True, above_zero=True),
        "classes": Hyperparameter(default=None, why="as many proxies as there are classes in train", whole=True, measured=True),
        "dimensions": Hyperparameter(default=None, why="those of the embedding", whole=True, measured=True),
    },
    example={"margin": 0.3, "scale": 10.0, "classes": 6, "dimensions": 5},
    tasks=("embedding",),
    reads=("real",),
    build=build,
    code=lambda h: f"ProxyAnchor({int(h['classes'])}, {int(h['dimensions'])}, margin={h['margin']!r}, scale={h['scale']!r})",
    carries="fallline.catalogue.losses._pairs",
    pairs=True,
    learns=True,
    settle=settle,
    metrics=("recall_at_1", "map_at_r"),
    aliases=("proxyanchor",),
)
