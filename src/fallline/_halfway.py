"""Halfway: the finalists are looked at once more, and one that is well behind the leader stops there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fallline._entered import Entered
from fallline._rung import going_on
from fallline.policies.drop_behind import DropBehind

if TYPE_CHECKING:
    from fallline._race import Race

WELL_BEHIND = 0.2  # of the leader's lead over the baseline; on the records it saved a tenth of the work and no regret (benchmarks/price)


def halfway(race: Race, going: list[Entered]) -> list[Entered]:
    """The baseline and the finalists at half the length; those that go on are given back."""
    race.advance([race.baseline, *going], race.plan.length // 2, "halfway")
    if race.baseline.value is None:
        return going
    return going_on(race, DropBehind(WELL_BEHIND, race.sign * race.baseline.value), going)
