"""Relation: whether simple probes predict the target from the inputs better than they predict permuted targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fallline.signals import Signal, Unavailable, Window

if TYPE_CHECKING:
    from torch import Tensor

    from fallline.signals._setup import Setup

MOST_ROWS = 2000  # a probe's matrix then has a million entries
FEWEST_ROWS = 120  # below them 2 standard deviations of luck hide a real relation
NEIGHBOURS = 10
FEATURES = 256  # random rectified features: what bends a linear probe misses
PERMUTATIONS = 40
SHIFTS = (-3, -2, -1, 1, 2, 3)  # by how many rows inputs and targets may have slipped


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Standard deviations above what permuted targets score, for the best of the probes."""

    rows: int
    train: float
    valid: float | None
    shifted: dict[int, float]  # with the targets moved by so many rows
    probe: str  # the best one on train


def measure(window: Window) -> Relation:
    setup = window.setup
    inputs, targets = _numbers(setup, "train")
    operators = _operators(inputs, setup.seed)
    rows = operators[0].rows
    scores = {operator.name: operator.strength(targets) for operator in operators}
    best = max(scores, key=lambda name: scores[name])
    shifted: dict[int, float] = {}
    if scores[best] < 4:
        shifted = {shift: max(operator.strength(targets.roll(shift, 0)) for operator in operators) for shift in SHIFTS}
    valid = None
    if setup.valid is not None and scores[best] < 4:  # asked only where train says nothing
        try:
            others, other_targets = _numbers(setup, "valid")
            if other_targets.shape[1:] == targets.shape[1:]:
                valid = max(operator.strength(other_targets) for operator in _operators(others, setup.seed))
        except Unavailable:
            valid = None
    return Relation(rows=rows, train=scores[best], valid=valid, shifted=shifted, probe=best)


def _numbers(setup: Setup, split: str) -> tuple[Tensor, Tensor]:
    """Inputs as a table of numbers, and targets as centred columns, of the first rows in their order."""
    import torch

    from fallline._batches import leaves

    rows: list[Tensor] = []
    targets: list[Tensor] = []
    for inputs, target in setup.whole(split, 10 * MOST_ROWS):
        rows.append(torch.cat([_table(leaf) for leaf in leaves(inputs)], dim=1))
        targets.append(target)
    if len({part.shape[1:] for part in rows}) > 1 or len({part.shape[1:] for part in targets}) > 1:
        raise Unavailable("examples have different lengths")
    x, target = torch.cat(rows), torch.cat(targets)
    if len(x) < FEWEST_ROWS:
        raise Unavailable(f"{len(x)} examples are too few to tell a relation from luck")
    if target.is_complex() or not bool(torch.isfinite(x).all()) or not bool(torch.isfinite(target.double()).all()):
        raise Unavailable("inputs or targets hold NaN or inf")
    if not target.is_floating_point() and target.ndim == 1:
        kinds, places = target.unique(return_inverse=True)
        if len(kinds) > 100:
            raise Unavailable("more than 100 classes are not probed")
        y = torch.nn.functional.one_hot(places, len(kinds)).float()
    elif target.reshape(len(target), -1).shape[1] <= 64:
        y = target.reshape(len(target), -1).float()
    else:
        raise Unavailable("targets of more than 64 numbers are not probed")
    chosen = torch.arange(len(x)) if len(x) <= MOST_ROWS else _blocks(len(x))
    x, y = x[chosen], y[chosen]
    y = y - y.mean(dim=0)
    y = y / y.std(dim=0).clamp_min(1e-12)
    if not float(y.abs().max()) > 0:
        raise Unavailable("the target does not vary")
    return x, y


def _blocks(count: int) -> Tensor:
    """Rows from all over the data, in runs of eight, so that a slip by a few rows is still seen."""
    import torch

    runs = torch.randperm(count // 8, generator=torch.Generator().manual_seed(0))[: MOST_ROWS // 8].sort().values
    return (runs[:, None] * 8 + torch.arange(8)).reshape(-1)


def _table(leaf: Tensor) -> Tensor:
    """Numbers as they are; whole numbers of many kinds, such as words, as how often each occurs."""
    import torch

    flat = leaf.reshape(len(leaf), -1)
    if leaf.is_floating_point() or leaf.dtype == torch.bool:
        return flat.float()
    kinds = int(flat.max()) + 1 if flat.numel() else 0
    if flat.shape[1] < 2 or not 2 < kinds <= 20_000 or int(flat.min()) < 0:
        return flat.float()
    counts = torch.zeros(len(flat), min(kinds, 2000))
    counts.scatter_add_(1, flat.long() % counts.shape[1], torch.ones(flat.shape))
    first = torch.nn.functional.one_hot(flat[:, :8].long().clamp_max(63), 64).reshape(len(flat), -1).float()  # order matters too
    return torch.cat([counts, first], dim=1)


@dataclass(frozen=True)
class _Operator:
    """A probe as what it is: a linear map from the targets of one half to predictions for the other."""

    name: str
    weights: Tensor
    fit: Tensor  # rows of the one half
    judge: Tensor  # of the other
    rows: int

    def score(self, y: Tensor) -> float:
        predicted, true = self.weights @ y[self.fit], y[self.judge]
        predicted = predicted - predicted.mean(dim=0)
        return float((predicted * true).sum() / (predicted.norm() * true.norm()).clamp_min(1e-12))

    def strength(self, y: Tensor) -> float:
        import torch

        generator = torch.Generator().manual_seed(1)
        luck = torch.tensor([self.score(y[torch.randperm(len(y), generator=generator)]) for _ in range(PERMUTATIONS)])
        return (self.score(y) - float(luck.mean())) / max(float(luck.std()), 1e-6)


def _operators(x: Tensor, seed: int) -> list[_Operator]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    spread = x.std(dim=0)
    z = ((x - x.mean(dim=0)) / spread.clamp_min(1e-12))[:, spread > 1e-12]
    if not z.shape[1]:
        raise Unavailable("the inputs do not vary")
    if z.shape[1] > 512:
        z = z @ (torch.randn(z.shape[1], 512, generator=generator) / 512**0.5)
    order = torch.randperm(len(z), generator=generator)
    fit, judge = order[: len(z) // 2], order[len(z) // 2 :]
    turned = (
        z @ torch.randn(z.shape[1], FEATURES, generator=generator) / z.shape[1] ** 0.5 + torch.randn(FEATURES, generator=generator)
    ).relu()
    made = []
    for name, features in (("linear", z), ("bent", turned)):
        a = torch.cat([features, torch.ones(len(z), 1)], dim=1)
        gram = a[fit].mT @ a[fit] + 0.05 * len(fit) * torch.eye(a.shape[1])
        made.append(_Operator(name, a[judge] @ torch.linalg.solve(gram, a[fit].mT), fit, judge, len(z)))
    nearest = torch.cdist(z[judge], z[fit]).topk(min(NEIGHBOURS, len(fit)), largest=False).indices
    neighbours = torch.zeros(len(judge), len(fit)).scatter_(1, nearest, 1.0 / nearest.shape[1])
    return [*made, _Operator("nearest neighbours", neighbours, fit, judge, len(z))]


ENTRY = Signal(name="relation", title="Relation of inputs and target", cost="free", measure=measure)
