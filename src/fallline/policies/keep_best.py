"""Keep the best few, with a seat for one that cannot be judged yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fallline.policies import Decision, Standing


@dataclass(frozen=True)
class KeepBest:
    """The best `count` go on; faults stop, the rest pause.

    Where two or more go on and none of them is unpeaked, the last seat is the best unpeaked one's: a recipe whose lr is still rising
    looks worse than it is (measured: docs/architecture.md).
    """

    count: int

    def decide(self, standings: Sequence[Standing]) -> dict[str, Decision]:
        alive = sorted((s for s in standings if s.value is not None), key=lambda s: (s.value, s.trial))
        seats = alive[: self.count]
        unpeaked = [standing for standing in alive if standing.peaks_later]
        if len(seats) > 1 and unpeaked and not any(standing.peaks_later for standing in seats):
            seats[-1] = unpeaked[0]
        going = {standing.trial for standing in seats}

        def decision(standing: Standing) -> Decision:
            if standing.value is None:
                return Decision.STOP
            return Decision.CONTINUE if standing.trial in going else Decision.PAUSE

        return {standing.trial: decision(standing) for standing in standings}
