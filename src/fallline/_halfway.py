"""Halfway: the finalists are looked at once more, and one that is behind the leader by more than the plan allows stops there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline._entered import Entered
from fallline._rung import going_on
from fallline.policies.drop_behind import DropBehind

if TYPE_CHECKING:
    from fallline._race import Race


def halfway(race: Race, going: list[Entered]) -> list[Entered]:
    """The baseline and the finalists at half the length; those that go on are given back."""
    half = race.plan.half
    leader, ahead = going[0], head_start(race, going, half)
    race.advance([race.baseline, *going], half, "halfway", {leader.trial.name: ahead} if ahead > half else {})
    if race.baseline.value is None:
        return going
    return going_on(race, DropBehind(race.plan.shape.behind, race.sign * race.baseline.value), going, half)


def head_start(race: Race, going: Sequence[Entered], half: int) -> int:
    """How far the leader runs before the others are judged: beyond half where its steps are dear.

    At the end it would train alone, one of two lanes idle, when the baseline is there already. So it goes on until what is left of it takes
    no longer than what is left of the baseline. It is judged by its look at half all the same.
    """
    leader, plan = going[0], race.plan
    looks = leader.trial.recipe.looks()
    if plan.abreast != 2 or race.bench.problem.loop is not None or plan.shadow_decay is not None or half not in looks:
        return half  # with more lanes each has its own; without a look of its own at half the leader must stop there to be judged
    wanted = plan.length - half / max(leader.candidate.cost, 1.0)
    return max(step for step in looks if step <= max(wanted, half))
