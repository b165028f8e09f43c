"""Drop those that are well behind the leader, once the trainings are far enough to tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fallline.policies import Decision, Standing


@dataclass(frozen=True)
class DropBehind:
    """A trial stops that is behind the leader by more than `share` of the leader's own lead over the baseline.

    Measured so, "well behind" means the same for an error in dollars and for an accuracy. Where nobody leads the baseline yet there is no
    measure, and all go on; so does a trial whose lr has not peaked. `baseline` is to be minimised, as standings are.
    """

    share: float
    baseline: float

    def decide(self, standings: Sequence[Standing]) -> dict[str, Decision]:
        values = [standing.value for standing in standings if standing.value is not None]
        best = min(values, default=self.baseline)
        lead = self.baseline - best

        def decision(standing: Standing) -> Decision:
            if standing.value is None:
                return Decision.STOP
            behind = lead > 0 and standing.value - best > self.share * lead and not standing.peaks_later
            return Decision.PAUSE if behind else Decision.CONTINUE

        return {standing.trial: decision(standing) for standing in standings}
