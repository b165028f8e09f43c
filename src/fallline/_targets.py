"""Facts about targets: balance, tails, outliers, zeros, and an upper bound on label noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fallline._batches import TensorSource, leaves
from fallline._data import LABELS_READ, Data
from fallline._errors import RefusedError
from fallline._problem import Problem
from fallline.metrics import NUMBERED

NEIGHBOURS_FROM = 2_000  # rows of the nearest-neighbour estimate of label noise: 4 million distances, some 50 ms


def target_facts(targets: Tensor, task: str, problem: Problem, classes: int) -> dict[str, Any]:
    if task in NUMBERED:
        flat = targets.reshape(-1)
        kept = flat[flat != problem.ignore_index] if problem.ignore_index is not None else flat
        counts = tuple(int(count) for count in torch.bincount(kept[kept >= 0], minlength=classes))  # train may lack the last ones
        if sum(count > 0 for count in counts) < 2:
            raise RefusedError("all training targets are of one class, so there is nothing to tell apart; check the target")
        return {"class_counts": counts, "integers": True}
    values = targets.double()
    if task == "multilabel":
        return {"class_counts": tuple(int(count) for count in values.sum(dim=0).reshape(-1)), "integers": True}
    flat = values.reshape(-1)
    if task == "binary":
        positives = int((flat > 0.5).sum())
        if positives in (0, len(flat)):
            raise RefusedError(f"all training targets are {flat[0]:g}, one class only, so there is nothing to learn; check the target")
        return {"class_counts": (len(flat) - positives, positives), "integers": True}
    if float(flat.std()) == 0.0:
        raise RefusedError(f"the target is constant ({float(flat[0]):g}), so there is nothing to learn; check the target")
    median = flat.median()
    mad = float(1.4826 * (flat - median).abs().median())  # 1.4826: equals the standard deviation for a normal target
    spread, mean = float(flat.std()), float(flat.mean())
    standard = (flat - mean) / spread
    scale = mad if mad > 0 else spread  # more than half of the targets are equal
    return {
        "target_mad": scale,
        "target_skew": float(standard.pow(3).mean()),
        "excess_kurtosis": float(standard.pow(4).mean() - 3),
        "outlier_share": float(((flat - median).abs() > 5 * scale).double().mean()),
        "zero_share": float((flat == 0).double().mean()),
        "negative_share": float((flat < 0).double().mean()),
        "integers": bool((flat == flat.round()).all()),
        "dispersion": spread**2 / mean if mean > 0 else 1.0,
    }


def second_share(data: Data, task: str, problem: Problem) -> float:
    """The share of the second commonest class in valid: without an example of it no ranking metric is defined; 1 where it is not known."""
    if task not in ("binary", "multiclass", "ordinal") or not (isinstance(data.valid, TensorSource) or data.valid.size <= LABELS_READ):
        return 1.0
    targets = data.targets("valid").reshape(-1)
    kept = targets if problem.ignore_index is None else targets[targets != problem.ignore_index]
    counts = kept.unique(return_counts=True)[1].sort(descending=True).values
    return float(counts[1]) / len(kept) if len(counts) > 1 else 1.0


def label_noise(data: Data, task: str) -> float | None:
    """What the nearest neighbour does not explain: an upper bound on label noise; None where inputs are no plain tensors.

    Classes: the share of examples whose nearest neighbour has another label. Values: half the mean squared difference to the
    neighbour's target over the variance (the first-neighbour noise estimate of Devroye et al., 2013, arXiv:1307.0447, is of this kind).
    """
    if not isinstance(data.train, TensorSource) or task in ("sequence", "multilabel", "embedding"):
        return None
    rows = torch.arange(data.train.size)[:: max(data.train.size // NEIGHBOURS_FROM, 1)][:NEIGHBOURS_FROM]
    inputs, target = data.unpack(data.train.take(rows, 0))
    columns = [leaf.reshape(len(rows), -1).float() for leaf in leaves(inputs)]
    if not columns or target[0].numel() != 1:
        return None
    features = torch.cat(columns, dim=1)
    features = (features - features.mean(0)) / features.std(0).clamp_min(1e-6)
    distance = torch.cdist(features, features)
    distance.fill_diagonal_(float("inf"))
    neighbour = target.reshape(-1)[distance.argmin(dim=1)]
    mine = target.reshape(-1)
    if task in ("binary", "multiclass", "ordinal"):
        return float((neighbour != mine).double().mean())
    unexplained = 0.5 * float((neighbour.double() - mine.double()).pow(2).mean())
    return min(unexplained / max(float(mine.double().var()), 1e-12), 1.0)
