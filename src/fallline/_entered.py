"""A trial in the race: its candidate, what was measured, and what became of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from fallline._prior import Candidate
from fallline._recipe import Cooldown
from fallline.engines import Measurement, Trial

BASELINE = "baseline"  # the name of the trial that every claim is made against


@dataclass
class Entered:
    """A trial in the race: its candidate, what was measured, and what became of it."""

    trial: Trial
    candidate: Candidate
    measured: list[Measurement] = field(default_factory=list)
    status: str = "waiting"  # waiting, paused, finished, failed, cut
    reason: str = ""
    final: float | None = None  # the metric on all of valid, at the end
    fell_at: int | None = None  # the step by which it was judged when it fell; it may have run past it
    stop: int | None = None  # where it ends without a cooldown, when time is short and its schedule is the user's own

    @property
    def step(self) -> int:
        return self.measured[-1].step if self.measured else 0

    @property
    def value(self) -> float | None:
        """The metric where it stands: on all of valid once it has finished; None once it has failed, whatever it was before."""
        if self.status == "failed":
            return None
        if self.final is not None:
            return self.final
        return next((m.value for m in reversed(self.measured) if m.value is not None), None)

    @property
    def diverged(self) -> bool:
        """Whether its numbers left the finite ones, which a smaller lr may cure."""
        return self.status == "failed" and self.reason.startswith("diverged")

    @property
    def seconds_a_step(self) -> float:
        """Measured seconds a step, looks included."""
        steps = sum(m.steps for m in self.measured)
        return sum(m.train_s + m.eval_s for m in self.measured) / steps if steps else 0.0

    def value_at(self, step: int, sign: float) -> float | None:
        """The metric as it stood at a step that it has passed, by its looks; the best of them where it hands back the best weights."""
        if self.step <= step or self.status == "failed":
            return self.value
        looks = [value for look, value in self.measured[-1].looks if look <= step]
        if self.trial.recipe.keep == "best":
            return min(looks, key=lambda value: sign * value, default=None)
        return looks[-1] if looks else None

    def goal(self, length: int) -> int:
        """Where its training ends: the length, the end of a cooldown, or a plain stop."""
        return self.trial.recipe.end if self.trial.recipe.cooldown else self.stop or length

    def shorten(self, cooldown: Cooldown) -> None:
        """From here on its recipe ends in this cooldown."""
        recipe = replace(self.trial.recipe, cooldown=cooldown)
        self.trial, self.candidate = replace(self.trial, recipe=recipe), replace(self.candidate, recipe=recipe)

    def at(self, step: int) -> Measurement | None:
        """The measurement of the goal `step`, or of the first epoch after it."""
        return next((m for m in self.measured if m.step >= step), None)


def shown(value: float | None) -> str:
    """A metric with four significant digits, thousands left readable."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
