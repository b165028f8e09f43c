"""Ranking: which losses can be candidates on a problem, in which order, and which cannot, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fallline import catalogue
from fallline._errors import UsageError
from fallline._judge import Judge
from fallline._profile import Profile
from fallline._recipe import Part

METRIC_SPEAKS = 2.0  # what the user wants outweighs what the targets look like (at most 1) and custom (0.5)
RECORDS_SPEAK = 0.6  # a little more than being the plain loss, which is what it was measured against


@dataclass(frozen=True)
class RankedLoss:
    """A loss that can be a candidate here, with how strongly profile and metric speak for it."""

    name: str
    score: float
    why: str


def ranked_losses(profile: Profile, judge: Judge) -> list[RankedLoss]:
    """The losses that can be trained on here, most promising first: for the metric, for the profile, then the plain one."""
    ranked = []
    for entry in catalogue.all_losses().values():
        if entry.applies(profile) or entry.waits(profile):
            continue
        reasons = []
        score = float(entry.suits(profile))
        if score > 0:
            reasons.append("the profile speaks for it")
        if judge.metric.name in entry.metrics:
            score += METRIC_SPEAKS
            reasons.append(f"it optimises {judge.metric.name}")
        if judge.metric.name in entry.ahead_for:
            score += RECORDS_SPEAK
            reasons.append(f"ahead of the plain loss on recorded tasks judged by {judge.metric.name}")
        if profile.task in entry.plain_for:
            score += 0.5  # half a reason: the plain loss is well tried
            reasons.append(f"the plain loss of {profile.task}")
        ranked.append(RankedLoss(entry.name, score, " and ".join(reasons) or "it applies"))
    # one that changes the model's end comes after those that take it as it is
    return sorted(ranked, key=lambda loss: (catalogue.loss(loss.name).head(profile) is not None, -loss.score, loss.name))


def unlike(ranked: Sequence[RankedLoss]) -> list[str]:
    """The ranked losses without those that have a better ranked kin."""
    names: list[str] = []
    for name in (loss.name for loss in ranked):
        kin = catalogue.loss(name).kin or name
        if all((catalogue.loss(other).kin or other) != kin for other in names):
            names.append(name)
    return names


def why_not(profile: Profile) -> dict[str, str]:
    """The losses that are no candidates here, each with the reason."""
    return {name: reason for name, entry in catalogue.all_losses().items() if (reason := entry.applies(profile) or entry.waits(profile))}


def plain_loss(profile: Profile) -> str:
    """The plain loss of the task that this model's outputs allow."""
    fitting = [entry.name for entry in catalogue.all_losses().values() if profile.task in entry.plain_for and not entry.applies(profile)]
    if fitting:  # one that takes the model as it is, where there is one
        return min(fitting, key=lambda name: catalogue.loss(name).head(profile) is not None)
    usable = [entry.name for entry in catalogue.all_losses().values() if not entry.applies(profile)]
    if usable:
        return usable[0]
    reasons = "; ".join(f"{name} {reason}" for name, reason in why_not(profile).items() if profile.task in catalogue.loss(name).tasks)
    raise UsageError(f"no loss of the catalogue fits this {profile.task} problem: {reasons}. Give Problem(loss=...)")


def may_help(part: Part, first: Part, judge: Judge) -> bool:
    """Whether a second loss is worth a candidate: no other does better than one that optimises the metric, unless it does so too.

    On the records, losses beside the metric's own lost 0.03 to 1.13 of regret by log loss, RMSE and Poisson deviance.
    """
    metric = judge.metric.name
    return first.own or metric not in catalogue.loss(first.name).metrics or metric in catalogue.loss(part.name).metrics
