"""Losses of embeddings, which compare the examples of a batch with each other; stands alone, so exported scripts carry it whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import normalize, softplus

FAR = -1e9  # the logit of a pair that does not count: its exponential is zero, and its gradient too, where -inf would make NaN


def compared(output: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cosine similarity of all pairs (N, N); which are two examples of one class; which are of two classes."""
    unit = normalize(output, dim=1)
    same = target.unsqueeze(1) == target
    return unit @ unit.T, same & ~torch.eye(len(target), dtype=torch.bool, device=target.device), ~same


def mean_of(values: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """The mean of the values that count; zero, with a zero gradient, where none does."""
    return (values * counted).sum() / counted.sum().clamp(min=1)


def triplet_loss(margin: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Squared distance to the farthest of the class, minus that to the nearest stranger, plus margin, at least zero."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        similarity, positive, negative = compared(output, target)
        farthest = similarity.masked_fill(~positive, 2.0).amin(dim=1)  # no cosine is 2, and none -2
        nearest = similarity.masked_fill(~negative, -2.0).amax(dim=1)
        each = (margin + 2.0 * (nearest - farthest)).clamp(min=0.0)  # of unit vectors the squared distance is 2 - 2 cos
        return mean_of(each, positive.any(dim=1) & negative.any(dim=1))

    return loss


def info_nce(temperature: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Of each pair of one class: minus the log of its share, among itself and all strangers of the first."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        similarity, positive, negative = compared(output, target)
        logits = similarity / temperature
        strangers = logits.masked_fill(~negative, FAR).logsumexp(dim=1, keepdim=True)
        return mean_of(softplus(strangers - logits), positive)

    return loss


def supervised_contrastive(temperature: float) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Of each example: the mean over the others of its class of minus the log of their share among all others."""

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        similarity, positive, negative = compared(output, target)
        logits = similarity / temperature
        share = logits - logits.masked_fill(~(positive | negative), FAR).logsumexp(dim=1, keepdim=True)
        each = -(share * positive).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
        return mean_of(each, positive.any(dim=1))

    return loss


class ProxyAnchor(torch.nn.Module):
    """A learnt proxy a class, (classes, dimensions), that draws the examples of its class in and pushes all others away."""

    def __init__(self, classes: int, dimensions: int, margin: float, scale: float) -> None:
        super().__init__()
        self.proxies = torch.nn.Parameter(torch.empty(classes, dimensions))
        torch.nn.init.kaiming_normal_(self.proxies, mode="fan_out")  # as the authors draw them
        self.margin, self.scale = margin, scale

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        similarity = normalize(output, dim=1) @ normalize(self.proxies, dim=1).T
        own = target.unsqueeze(1) == torch.arange(similarity.shape[1], device=target.device)
        drawn = (self.scale * (self.margin - similarity)).masked_fill(~own, FAR)
        pushed = (self.scale * (self.margin + similarity)).masked_fill(own, FAR)
        one = torch.zeros_like(drawn[:1])  # log(1 + sum of exp) is the log-sum-exp with a zero more
        nearer, away = (torch.cat([one, part]).logsumexp(dim=0) for part in (drawn, pushed))
        return mean_of(nearer, own.any(dim=0)) + away.mean()
