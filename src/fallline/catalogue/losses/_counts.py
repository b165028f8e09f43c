"""Class counts made into weights: the share of imbalance that a loss evens out."""

from __future__ import annotations

from collections.abc import Sequence

from fallline._profile import Profile
from fallline.catalogue import Hyperparameter, LossFunction, Settings, Value

BALANCE = Hyperparameter(
    default=0.5, why="the square root: halves the imbalance on a log scale, where 1 overshoots once a class is rare", low=0.0, high=1.0
)


def class_weights(counts: Sequence[int], balance: float) -> list[float]:
    """Weights proportional to count ** -balance, with mean 1 over examples: the loss keeps its scale, and so does lr."""
    return scaled([max(count, 1) ** -balance for count in counts], counts)  # a class without examples is treated as if it had one


def scaled(raw: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Weights in these proportions with mean 1 over examples."""
    scale = sum(counts) / sum(weight * count for weight, count in zip(raw, counts, strict=True))
    return [float(weight * scale) for weight in raw]


def positive_weights(profile: Profile, balance: float) -> float | list[float]:
    """How many negatives a positive counts for: (negatives / positives) ** balance, a list where there are several labels."""
    if profile.task == "multilabel":
        return [float((max(profile.rows - count, 1) / max(count, 1)) ** balance) for count in profile.class_counts]
    negatives, positives = profile.class_counts
    return float((max(negatives, 1) / max(positives, 1)) ** balance)


def settle_weight(h: Settings, profile: Profile) -> dict[str, Value]:
    """The settings with `weight` made absolute, unless it was given or the classes are not known."""
    known = h.get("weight") is not None or not sum(profile.class_counts)
    return dict(h) if known else {**h, "weight": class_weights(profile.class_counts, h["balance"])}


def settle_pos_weight(h: Settings, profile: Profile) -> dict[str, Value]:
    """The settings with `pos_weight` made absolute, unless it was given or the classes are not known."""
    known = h.get("pos_weight") is not None or not sum(profile.class_counts)
    return dict(h) if known else {**h, "pos_weight": positive_weights(profile, h["balance"])}


def weighted_cross_entropy(h: Settings) -> LossFunction:
    """torch's cross-entropy with the weights in the settings."""
    import torch

    weight = h.get("weight")  # a recipe leaves out what is None
    return torch.nn.CrossEntropyLoss(weight=None if weight is None else torch.tensor(weight), ignore_index=int(h["ignore_index"]))


def weighted_code(h: Settings) -> str:
    """The same as an expression."""
    weight = None if h.get("weight") is None else f"torch.tensor({h['weight']!r})"
    return f"torch.nn.CrossEntropyLoss(weight={weight}, ignore_index={int(h['ignore_index'])})"
