"""Doubt: how often neighbours contradict a class label, over all examples and far from the border between classes."""

from __future__ import annotations

from dataclasses import dataclass

from fallline.signals import Signal, Unavailable, Window

ROWS = 2000
PROJECTED = 64  # dimensions in which distances are taken, where there are more
FEWEST = 400
NEIGHBOURS = 25
SUREST = 0.4  # share of the examples, those whose neighbours agree most on some class


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """Shares of examples whose own label is not the commonest among their nearest neighbours in train, themselves left out."""

    rows: int
    classes: int
    guessed: float  # what the commonest class alone would get wrong
    all: float
    surest: float  # among those whose neighbours agree most; what is near a border is not among them
    judged: int  # examples among the surest


def measure(window: Window) -> Doubt:
    import torch

    from fallline._batches import leaves
    from fallline.signals.relation import _table

    inputs, target = window.setup.sample(rows=ROWS)
    flat = target.reshape(-1)
    whole = not target.is_floating_point() or bool(((target == 0) | (target == 1)).all())
    if len(flat) != len(target) or not whole:
        raise Unavailable("targets are not one class a case")
    kinds = flat.unique()
    if not 2 <= len(kinds) <= 20 or len(flat) < FEWEST:
        raise Unavailable("there are more than 20 classes, or too few examples to ask neighbours")
    x = torch.cat([_table(leaf) for leaf in leaves(inputs)], dim=1)
    spread = x.std(dim=0)
    z = ((x - x.mean(dim=0)) / spread.clamp_min(1e-12))[:, spread > 1e-12]
    if not z.shape[1] or not bool(torch.isfinite(z).all()):
        raise Unavailable("the inputs do not vary, or hold NaN or inf")
    if z.shape[1] > PROJECTED:
        z = z @ (torch.randn(z.shape[1], PROJECTED, generator=torch.Generator().manual_seed(0)) / PROJECTED**0.5)
    distance = torch.cdist(z, z)
    distance.fill_diagonal_(float("inf"))
    near = distance.topk(NEIGHBOURS, largest=False).indices
    places = torch.searchsorted(kinds, flat)
    votes = torch.nn.functional.one_hot(places[near], len(kinds)).float().mean(dim=1)
    sure, said = votes.max(dim=1)
    wrong = said != places
    surest = sure.argsort(descending=True)[: int(SUREST * len(flat))]
    return Doubt(
        rows=len(flat),
        classes=len(kinds),
        guessed=1 - float(places.bincount().max()) / len(flat),
        all=float(wrong.double().mean()),
        surest=float(wrong[surest].double().mean()),
        judged=len(surest),
    )


ENTRY = Signal(name="doubt", title="Labels that neighbours contradict", cost="free", measure=measure)
