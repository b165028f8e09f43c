"""Weeding: the finalists are looked at once more, and one that is behind the leader by more than the plan allows stops there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fallline._entered import Entered
from fallline._rung import going_on
from fallline.policies.drop_behind import DropBehind

if TYPE_CHECKING:
    from fallline._race import Race


def weeded(race: Race, going: list[Entered]) -> list[Entered]:
    """The baseline and the finalists, at the plan's share of the length; those that go on are given back."""
    goal = race.plan.weeding
    if all(entry.step >= goal for entry in going):  # loops by whole epochs stand past it already, and rung one has judged them there
        return going
    leader, ahead = going[0], head_start(race, going, goal)
    stage = f"to step {goal:,}, where a finalist that is behind stops"
    race.advance([race.baseline, *going], goal, stage, {leader.trial.name: ahead} if ahead > goal else {})
    if race.baseline.value is None:
        return going
    return going_on(race, DropBehind(race.plan.shape.behind, race.sign * race.baseline.value), going, goal if ahead > goal else None)


def head_start(race: Race, going: Sequence[Entered], goal: int) -> int:
    """How far the leader runs before the others are judged: beyond the goal where its steps are dear.

    At the end it would train alone, one of two lanes idle, when the baseline is there already. So it goes on until what is left of it takes
    no longer than what is left of the baseline, or until the other lane has brought the rest to the goal. It is judged by its look at the
    goal all the same.
    """
    leader, plan = going[0], race.plan
    looks = leader.trial.recipe.looks()
    if plan.abreast != 2 or race.bench.problem.loop is not None or plan.shadow_decay is not None or goal not in looks:
        return goal  # with more lanes each has its own; without a look of its own at the goal the leader must stop there to be judged
    cost = max(leader.candidate.cost, 1.0)
    others = [*going[1:], *([race.baseline] if race.baseline.status != "failed" else [])]
    beside = sum((goal - entry.step) * max(entry.candidate.cost, 1.0) for entry in others)
    wanted = min(plan.length - (plan.length - goal) / cost, leader.step + beside / cost)
    return max(step for step in looks if step <= max(wanted, goal))
